/*
 * Ends when its child has called exit and is still at it: vfork(2) holds the parent until
 * then, and many descriptors take the child a while.
 */
#include <unistd.h>

int main(void)
{
	for (int i = 0; i < 900; i++)
		dup(2);
	if (!vfork())
		_exit(0);
	_exit(0);
}
