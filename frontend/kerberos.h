/*
 * Log-on by Kerberos: HTTP's "Negotiate" ([RFC4559] 4, 5) with GSS-API.  One
 * leg, since any worker may get the next request: what would need a second one
 * (another mechanism than Kerberos, NTLM of course) is refused.  A log-on must
 * have come over a TLS connection to one of our certificates, or it could be
 * relayed by whom somebody was made to log on to (channel binding, [RFC5929] 4).
 */
#ifndef KERBEROS_H
#define KERBEROS_H

#include "buf.h"
#include "err.h"
#include "ticket.h"
#include "wconf.h"

/*
 * Of a token in base64: what FastCGI has room for in one record, and more than
 * Windows sends (MaxTokenSize 48,000 bytes is its default limit).
 */
#define KERBEROS_TOKEN_MAX	((size_t)48000)

struct kerberos;

/*
 * Reads the keytab, which must have keys of HTTP/... alone and of AES, and the
 * certificates.  The settings must outlive it.  Any thread may use it.
 * ERR_INTERNAL: what is wrong with which file.
 */
struct kerberos	*kerberos_new(const struct wconf_kerberos *, struct err *);
void		 kerberos_free(struct kerberos *);

/*
 * The ticket in this value of Authorization, which may be anything;
 * ticket_free by the caller, of a failure, too.  The server's own token, in
 * base64, is appended to *proof: the client knows by it whom it talks to.  The
 * keytab is read again, and a certificate that changed.
 * ERR_UNAUTHENTICATED, the text is for the log; ERR_UNAVAILABLE when the keytab,
 * which must be as at the start, or the replay cache is what fails.
 */
int		 kerberos_accept(struct kerberos *, const char *authorization,
		    struct ticket *, struct buf *proof, struct err *);
/* What ticket_account is to know; as long as the struct kerberos. */
const struct ticket_rules *kerberos_rules(const struct kerberos *);

#endif
