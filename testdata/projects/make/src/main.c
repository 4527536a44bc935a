#include <stdio.h>

#include "words.h"

int main(void)
{
	printf("%s %s %s\n", left(), middle(), right());
	return 0;
}
