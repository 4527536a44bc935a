/* 64 threads at once, each with a file of its own: none is missed, none doubled. */
#include "selfcheck.h"
#include <pthread.h>

enum { THREADS = 64 };

static pthread_barrier_t together;

static void *look(void *number)
{
	char name[32];

	snprintf(name, sizeof name, "t%d", (int)(intptr_t)number);
	pthread_barrier_wait(&together);
	if (syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT, 0644) < 0)
		die("open %s: %s\n", name, strerror(errno));
	return NULL;
}

int main(int argc, char **argv)
{
	(void)argc;
	pthread_t threads[THREADS];

	scratch(argv);
	render("unordered");
	pthread_barrier_init(&together, NULL, THREADS);
	begin();
	for (intptr_t i = 0; i < THREADS; i++) {
		expect("openat write absent ~/t%d as \"t%d\"", (int)i, (int)i);
		int error = pthread_create(&threads[i], NULL, look, (void *)i);
		if (error)
			die("pthread_create: %s\n", strerror(error));
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return end();
}
