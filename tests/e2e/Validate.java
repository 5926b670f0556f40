import java.io.FileInputStream;
import java.io.InputStream;
import java.security.cert.*;
import java.util.*;

/** ca.der crl.der cert.der...: a line "OK file" or "BAD file why" for each,
 *  as Java's PKIX validator has it, with revocation. */
public class Validate {
	static <T> T read(String file, boolean crl) throws Exception {
		CertificateFactory f = CertificateFactory.getInstance("X.509");
		try (InputStream in = new FileInputStream(file)) {
			@SuppressWarnings("unchecked")
			T t = (T) (crl ? f.generateCRL(in) :
			    f.generateCertificate(in));
			return t;
		}
	}

	public static void main(String[] args) throws Exception {
		CertificateFactory f = CertificateFactory.getInstance("X.509");
		X509Certificate ca = read(args[0], false);
		X509CRL crl = read(args[1], true);
		crl.verify(ca.getPublicKey());
		PKIXParameters p = new PKIXParameters(
		    Set.of(new TrustAnchor(ca, null)));
		p.addCertStore(CertStore.getInstance("Collection",
		    new CollectionCertStoreParameters(List.of(crl))));
		CertPathValidator v = CertPathValidator.getInstance("PKIX");
		Set<?> listed = crl.getRevokedCertificates();
		System.out.println("ENTRIES " +
		    (listed == null ? 0 : listed.size()));
		for (int i = 2; i < args.length; i++) {
			try {
				Certificate c = read(args[i], false);
				v.validate(f.generateCertPath(List.of(c)), p);
				System.out.println("OK " + args[i]);
			} catch (CertPathValidatorException e) {
				System.out.println("BAD " + args[i] + " " +
				    e.getReason());
			}
		}
	}
}
