#include "config.h"

void greet(const char *name);

int main(void)
{
	greet(NAME);
	return 0;
}
