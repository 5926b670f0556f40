/* Questions to the people at a ceremony, for cerrun.c. */
#include "cerask.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define TRIES		3
#define ANSWER_MAX	64

static void
the_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
}

/* Blocked: nothing half made is left by a key pressed at the wrong time. */
int
ask_begin(int *signals, struct err *err)
{
	sigset_t set;

	the_signals(&set);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 ||
	    (*signals = signalfd(-1, &set, SFD_CLOEXEC)) == -1)
		return err_set(err, ERR_INTERNAL, "signals: %s",
		    strerror(errno));
	return 0;
}

void
ask_end(int signals)
{
	sigset_t set;

	the_signals(&set);
	close(signals);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* One octet: what is behind the line belongs to the next question. */
static int
next_char(int signals, char *c, struct err *err)
{
	struct pollfd p[2] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN }
	};
	struct signalfd_siginfo taken;

	if (poll(p, 2, -1) == -1 && errno != EINTR)
		return err_set(err, ERR_INTERNAL, "poll: %s",
		    strerror(errno));
	if (p[0].revents != 0) {
		/* Taken off: it would end us where ask_end lets it through. */
		(void)!read(signals, &taken, sizeof taken);
		return err_set(err, ERR_DENIED, "stopped by a signal");
	}
	if (read(STDIN_FILENO, c, 1) != 1)
		return err_set(err, ERR_DENIED, "the input ended");
	return 0;
}

/* A longer line is read to its end and kept one octet too long: refused. */
static int
read_answer(int signals, struct buf *out, struct err *err)
{
	size_t begin = out->n;
	char c;

	for (;;) {
		if (next_char(signals, &c, err) != 0)
			return -1;
		if (c == '\n')
			break;
		if (out->n - begin <= ANSWER_MAX)
			buf_addc(out, (uint8_t)c);
	}
	while (out->n > begin && (out->p[out->n - 1] == ' ' ||
	    out->p[out->n - 1] == '\r'))
		out->n--;
	return 0;
}

int
ask_line(int signals, const char *question, struct buf *out, struct err *err)
{
	size_t begin = out->n;
	int i;

	for (i = 0; i < TRIES; i++) {
		printf("%s: ", question);
		fflush(stdout);
		out->n = begin;
		if (read_answer(signals, out, err) != 0)
			return -1;
		if (out->n > begin && out->n - begin <= ANSWER_MAX &&
		    slice_is_text(slice_of(out->p + begin, out->n - begin)))
			return 0;
		printf("A line of 1 to %d bytes, please.\n", ANSWER_MAX);
	}
	return err_set(err, ERR_DENIED, "no answer to \"%.80s\"", question);
}

int
ask_yes(int signals, const char *question, struct err *err)
{
	struct buf answer = { 0 };
	int i, rc = 1;

	for (i = 0; i < TRIES && rc == 1; i++) {
		printf("%s (yes or no): ", question);
		fflush(stdout);
		buf_reset(&answer);
		if (read_answer(signals, &answer, err) != 0)
			rc = -1;
		else if (slice_is(buf_slice(&answer), "yes"))
			rc = 0;
		else if (slice_is(buf_slice(&answer), "no"))
			rc = err_set(err, ERR_DENIED, "\"%.120s\" was "
			    "answered with no", question);
	}
	buf_free(&answer);
	return rc == 1 ? err_set(err, ERR_DENIED, "\"%.120s\" was answered "
	    "with neither yes nor no", question) : rc;
}
