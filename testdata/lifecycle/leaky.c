/* Built with -fsanitize=address: LeakSanitizer traces its own process at the end. */
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	char *volatile p = malloc(100);

	p[0] = 1;
	p = NULL;
	fprintf(stderr, "leaking\n");
	return 0;
}
