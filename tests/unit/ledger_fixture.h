/* A folder of its own for each test of a ledger, and entries in it. */
#ifndef LEDGER_FIXTURE_H
#define LEDGER_FIXTURE_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ledger.h"
#include "place.h"

static int
setup(void **state)
{
	return place_make(state, "ledger");
}

static struct ledger *
must_open(const char *dir)
{
	struct err	 err = ERR_INIT;
	struct ledger	*l = ledger_open(dir, &err);

	if (l == NULL)
		fail_msg("%s", err.text);
	return l;
}

/* n entries of a little content, synced. */
static void
add_some(struct ledger *l, int n)
{
	struct err	err = ERR_INIT;
	struct buf	b = { 0 };
	int		i;

	for (i = 0; i < n; i++) {
		buf_reset(&b);
		ledger_field(&b, "account", slice_str("alice"));
		ledger_field_num(&b, "n", i);
		ledger_add(l, "intent", buf_slice(&b));
	}
	assert_int_equal(ledger_sync(l, &err), 0);
	buf_free(&b);
}

/* One more file, which begins with a segment; n other entries. */
static void
turn(struct ledger *l, int n)
{
	struct err	err = ERR_INIT;

	ledger_add(l, "segment", slice_str("\"signer\":\"s\""));
	assert_int_equal(ledger_turn(l, &err), 0);
	add_some(l, n);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
