#include <stdio.h>

#include "local.h"

#if __has_include("absent.h")
#error "absent.h is there"
#endif

int main(void)
{
	printf("%d\n", LOCAL);
	return 0;
}
