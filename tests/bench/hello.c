/*
 * What nginx and libfcgi cost alone: reads each message and answers with so
 * many bytes, on the worker's kind of socket, with its processes and threads.
 *
 *	hello SOCKET ANSWER-BYTES PROCESSES THREADS
 */
#include <sys/prctl.h>
#include <sys/wait.h>

#include <err.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fcgiapp.h>

static int	 listen_fd, answer_bytes;

static void *
serve(void *arg)
{
	char		*answer, scrap[65536];
	FCGX_Request	 r;

	(void)arg;
	answer = malloc((size_t)answer_bytes);
	if (answer == NULL || FCGX_InitRequest(&r, listen_fd, 0) != 0)
		errx(1, "no memory");
	memset(answer, 'x', (size_t)answer_bytes);
	while (FCGX_Accept_r(&r) == 0) {
		while (FCGX_GetStr(scrap, sizeof(scrap), r.in) > 0)
			;
		FCGX_FPrintF(r.out, "Content-Type: application/soap+xml\r\n"
		    "Content-Length: %d\r\n\r\n", answer_bytes);
		FCGX_PutStr(answer, answer_bytes, r.out);
		FCGX_Finish_r(&r);
	}
	free(answer);
	return NULL;
}

static void
run_process(int threads)
{
	pthread_t	id;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	while (threads-- > 1)
		if (pthread_create(&id, NULL, serve, NULL) != 0)
			errx(1, "pthread_create");
	serve(NULL);
}

int
main(int argc, char **argv)
{
	int	i;

	if (argc != 5)
		errx(2, "usage: hello SOCKET BYTES PROCESSES THREADS");
	answer_bytes = atoi(argv[2]);
	if (FCGX_Init() != 0 ||
	    (listen_fd = FCGX_OpenSocket(argv[1], 4096)) == -1)
		errx(1, "%s", argv[1]);
	for (i = 0; i < atoi(argv[3]); i++)
		if (fork() == 0) {
			run_process(atoi(argv[4]));
			return 0;
		}
	while (wait(NULL) > 0)
		;
	return 0;
}
