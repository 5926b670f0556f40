/* Statements of "report", for sql.c, whose macros they use. */
#ifndef REPORT_SQL_H
#define REPORT_SQL_H

#define TODAY "floor(extract(epoch FROM now()) / 86400)::integer"

/* $1: how many days. */
#define REPORT_STMTS \
	{ "report_days", "WITH r AS (SELECT day, " \
	    "count(*) FILTER (WHERE state = 'issued') AS issued, " \
	    "count(*) FILTER (WHERE state = 'pending') AS waits, " \
	    "count(*) FILTER (WHERE state = 'denied') AS denied " \
	    "FROM countersign.request WHERE day > " TODAY " - $1::integer " \
	    "GROUP BY day) SELECT to_char(to_timestamp(d * 86400.0) AT TIME " \
	    "ZONE 'UTC', 'YYYY-MM-DD'), coalesce(issued, 0), " \
	    "coalesce(waits, 0), coalesce(denied, 0) FROM generate_series(" \
	    TODAY " - $1::integer + 1, " TODAY ") d LEFT JOIN r " \
	    "ON r.day = d ORDER BY d", 1 }, \
	{ "report_denied", "SELECT '0x' || upper(lpad(to_hex(hresult), 8, " \
	    "'0')), template, (array_agg(message ORDER BY received_at " \
	    "DESC))[1], (array_agg(number ORDER BY received_at DESC))[1], " \
	    UTC("max(received_at)") ", count(*) " \
	    "FROM countersign.request WHERE state = 'denied' " \
	    "AND day > " TODAY " - $1::integer GROUP BY hresult, template " \
	    "ORDER BY count(*) DESC, 1, 2 LIMIT 12", 1 }, \
	{ "report_waits", "SELECT number, " UTC("received_at") ", " \
	    "account || coalesce(', asked for by ' || agent, ''), template, " \
	    "subject, san, count(*) OVER () " \
	    "FROM countersign.request WHERE state = 'pending' " \
	    "AND " STATE " = 'pending' ORDER BY received_at LIMIT 20", 0 }, \
	/* A holder's last certificate is the one that matters. */ \
	{ "report_ends", "WITH h AS (SELECT max(not_after) AS ends " \
	    "FROM countersign.certificate WHERE not_after > now() " \
	    "AND revoked_at IS NULL GROUP BY account, template, subject, san" \
	    "), w AS (SELECT floor(extract(epoch FROM ends - now()) / 604800) " \
	    "AS week, count(*) AS n FROM h GROUP BY 1) " \
	    "SELECT to_char((now() + d * interval '1 week') AT TIME ZONE " \
	    "'UTC', 'YYYY-MM-DD'), coalesce(n, 0) FROM generate_series(0, 53) " \
	    "d LEFT JOIN w ON w.week = d ORDER BY d", 0 }, \
	/* The same, of those who should have renewed by now: a certificate of \
	   an hour or a month has not, 30 days before its end. */ \
	{ "report_next", "SELECT account, template, " \
	    "concat_ws(' ', nullif(subject, ''), nullif(san, '')), " \
	    UTC("ends") ", count(*) OVER () FROM (SELECT account, template, " \
	    "subject, san, max(not_after) AS ends, " \
	    "max(not_after - not_before) AS life " \
	    "FROM countersign.certificate WHERE not_after > now() " \
	    "AND revoked_at IS NULL GROUP BY 1, 2, 3, 4) h " \
	    "WHERE ends < now() + interval '30 days' " \
	    "AND ends - now() < life / 5 ORDER BY ends, account LIMIT 30", 0 }, \
	{ "report_templates", "SELECT template, " UTC("min(not_after)") ", " \
	    "count(*) FROM countersign.certificate WHERE not_after > now() " \
	    "AND revoked_at IS NULL GROUP BY template " \
	    "ORDER BY count(*) DESC, template", 0 }, \
	{ "report_keys", "SELECT k.name, k.of_ca, k.in_use, k.certificate, " \
	    "l.number, " UTC("l.next_update") ", l.entries, " \
	    "coalesce(l.next_update < now(), true) FROM countersign.ca k " \
	    "LEFT JOIN (" LAST_LISTS ") l ON l.ca = k.name " \
	    "AND coalesce(l.base, 0) = 0 ORDER BY k.of_ca, k.created_at", 0 }

#endif
