/* An end for calls into a token's library, around those of cakey_token.c. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "deadline.h"

/* The call may hold any lock: nothing here may want one. */
static void
end_process(int sig)
{
	static const char line[] = "countersign-signer event=token "
	    "text=\"its library has not come back within token-timeout: this "
	    "process ends\"\n";
	ssize_t n = write(STDERR_FILENO, line, sizeof(line) - 1);

	(void)sig;
	(void)n;
	_exit(1);
}

void
deadline_begin(unsigned seconds)
{
	struct sigaction act;

	memset(&act, 0, sizeof(act));
	act.sa_handler = end_process;
	sigaction(SIGALRM, &act, NULL);
	alarm(seconds);
}

void
deadline_end(void)
{
	alarm(0);
}
