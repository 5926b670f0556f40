"""What libgnutls says of many certificates with one list, read once; certtool
reads the list for each.  Arguments: CA certificates (PEM), the list (DER), and
certificates (DER); a line for each: OK or REVOKED, and its name."""
import ctypes
import sys
import time

DER, PEM = 0, 1
VERIFY_CRL = 1              # GNUTLS_TL_VERIFY_CRL
INVALID, BAD = 2, 32        # GNUTLS_CERT_INVALID, GNUTLS_CERT_REVOKED

lib = ctypes.CDLL('libgnutls.so.30')
lib.gnutls_x509_crt_deinit.restype = None


class Datum(ctypes.Structure):
    _fields_ = [('data', ctypes.c_char_p), ('size', ctypes.c_uint)]


def datum(path):
    data = open(path, 'rb').read()
    return Datum(data, len(data))


def call(name, *args):
    n = getattr(lib, 'gnutls_' + name)(*args)
    if n < 0:
        lib.gnutls_strerror.restype = ctypes.c_char_p
        sys.exit('%s: %s' % (name, lib.gnutls_strerror(n).decode()))
    return n


def load(kind, path):
    """As an array of one."""
    x = (ctypes.c_void_p * 1)()
    call('x509_%s_init' % kind, x)
    call('x509_%s_import' % kind, ctypes.c_void_p(x[0]),
         ctypes.byref(datum(path)), DER)
    return x


def main(cas, crl, *names):
    store, begun = ctypes.c_void_p(), time.process_time()
    call('x509_trust_list_init', ctypes.byref(store), 0)
    assert call('x509_trust_list_add_trust_mem', store,
                ctypes.byref(datum(cas)), None, PEM, 0, 0) > 0
    lists = load('crl', crl)
    print('ENTRIES', call('x509_crl_get_crt_count',
                          ctypes.c_void_p(lists[0])), flush=True)
    # What is not signed by a CA of the store is not taken.
    assert call('x509_trust_list_add_crls', store, lists, 1, VERIFY_CRL, 0) \
        == 1, 'the list is not believed'
    print('READ', '%.1f s' % (time.process_time() - begun), flush=True)
    for name in names:
        certs = load('crt', name)
        status = ctypes.c_uint()
        call('x509_trust_list_verify_crt', store, certs, 1, 0,
             ctypes.byref(status), None)
        word = {0: 'OK', INVALID | BAD: 'REVOKED'}.get(
            status.value, 'BAD %x' % status.value)
        print(word, name, flush=True)
        lib.gnutls_x509_crt_deinit(ctypes.c_void_p(certs[0]))


main(*sys.argv[1:])
