#include "identity/verification.hpp"

#include <algorithm>

namespace ztna::identity {
namespace {

constexpr std::size_t max_chain = 10;  // public chains have 2 to 4

// Time is checked by us, at the `now` that was handed in.
constexpr unsigned verify_flags = GNUTLS_VERIFY_DISABLE_TIME_CHECKS |
                                  GNUTLS_VERIFY_DO_NOT_ALLOW_X509_V1_CA_CRT |
                                  GNUTLS_VERIFY_DISABLE_CRL_CHECKS;

tl::unexpected<base::Error> refuse(std::string what, const std::string& where,
                                   std::string cause = {}) {
  return base::fail(base::ErrorCode::unauthenticated, std::move(what), where, std::move(cause));
}

std::string describe(unsigned status) {
  Datum text;
  if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, text.out(), 0) < 0) {
    return "status " + std::to_string(status);
  }
  std::string words = text.text();
  while (!words.empty() && (words.back() == ' ' || words.back() == '\0')) words.pop_back();
  return words;
}

// No MD5, no SHA-1, whatever the system's crypto policy allows.
base::Status check_signature_algorithm(gnutls_x509_crt_t certificate, const std::string& where) {
  const int code = gnutls_x509_crt_get_signature_algorithm(certificate);
  const auto algorithm =
      code < 0 ? GNUTLS_SIGN_UNKNOWN : static_cast<gnutls_sign_algorithm_t>(code);
  if (gnutls_sign_is_secure2(algorithm, GNUTLS_SIGN_FLAG_SECURE_FOR_CERTS) != 0) return {};
  const char* const name = gnutls_sign_get_name(algorithm);
  return refuse("the certificate is signed with " +
                    std::string(name == nullptr ? "an unknown algorithm" : name) +
                    ", which is not secure, expected ECDSA-SHA256 or better",
                where);
}

base::Status check_purpose(gnutls_x509_crt_t leaf, const char* purpose, const char* name,
                           const std::string& where) {
  if (gnutls_x509_crt_check_key_purpose(leaf, purpose, 0) != 0) return {};
  return refuse("the certificate's extended key usage lacks " + std::string(name), where);
}

// Agents are TLS clients, Intermediates servers, Connectors both.
base::Status check_usage(gnutls_x509_crt_t leaf, Role role, const std::string& where) {
  unsigned usage = 0, critical = 0;
  if (gnutls_x509_crt_get_key_usage(leaf, &usage, &critical) >= 0 &&
      (usage & GNUTLS_KEY_DIGITAL_SIGNATURE) == 0) {
    return refuse("the certificate's key usage lacks digitalSignature", where);
  }
  if (role != Role::agent) {
    const auto server = check_purpose(leaf, GNUTLS_KP_TLS_WWW_SERVER, "serverAuth", where);
    if (!server) return server;
  }
  if (role != Role::intermediate) {
    return check_purpose(leaf, GNUTLS_KP_TLS_WWW_CLIENT, "clientAuth", where);
  }
  return {};
}

base::Status check_expected(const Principal& peer, const Expectation& expected,
                            const std::string& where) {
  const bool fits = expected.role ? peer.role == *expected.role : peer.role != Role::intermediate;
  if (!fits) {
    const std::string_view wanted =
        expected.role ? to_string(*expected.role) : std::string_view("agent or connector");
    return refuse("the peer's role is " + std::string(to_string(peer.role)) + ", expected " +
                      std::string(wanted),
                  where);
  }
  if (peer.trust_domain != expected.trust_domain) {
    return refuse("the peer's trust domain is \"" + peer.trust_domain + "\", expected \"" +
                      expected.trust_domain + "\"",
                  where);
  }
  if (!expected.name.empty() && peer.name != expected.name) {
    return refuse("the peer's name is \"" + peer.name + "\", expected \"" + expected.name + "\"",
                  where);
  }
  return {};
}

// The validity of the certificates up to the first one that a public root signed, and that root's.
base::Status check_web_validity(std::span<const Certificate> chain, const Trust& trust,
                                base::WallTime now, const std::string& where) {
  for (const Certificate& certificate : chain) {
    const auto valid = check_validity(certificate.get(), now, "a certificate of the chain", where);
    if (!valid) return valid;
    gnutls_x509_crt_t issuer = nullptr;  // stays the list's
    if (gnutls_x509_trust_list_get_issuer(trust.web.get(), certificate.get(), &issuer, 0) >= 0) {
      return check_validity(issuer, now, "the public CA's certificate", where);
    }
  }
  return {};
}

base::Result<Principal> verify_web(std::span<const Certificate> chain, const Trust& trust,
                                   const Expectation& expected, base::WallTime now,
                                   const std::string& where) {
  if (!trust.web) {
    return refuse("a public certificate for \"" + expected.web_pki_host +
                      "\" cannot be checked, no public roots are loaded (--public-roots FILE)",
                  where);
  }
  std::vector<gnutls_x509_crt_t> raw;
  for (const Certificate& certificate : chain) raw.push_back(certificate.get());
  std::string host = expected.web_pki_host;
  char purpose[] = GNUTLS_KP_TLS_WWW_SERVER;
  gnutls_typed_vdata_st demands[] = {
      {GNUTLS_DT_DNS_HOSTNAME, reinterpret_cast<unsigned char*>(host.data()), 0},
      {GNUTLS_DT_KEY_PURPOSE_OID, reinterpret_cast<unsigned char*>(purpose), 0}};
  unsigned status = 0;
  const int code = gnutls_x509_trust_list_verify_crt2(trust.web.get(), raw.data(),
                                                      static_cast<unsigned>(raw.size()), demands, 2,
                                                      verify_flags, &status, nullptr);
  if (code < 0 || status != 0) {
    return refuse("the public certificate does not prove the host \"" + host + "\"", where,
                  code < 0 ? gnutls_strerror(code) : describe(status));
  }
  const auto valid = check_web_validity(chain, trust, now, where);
  if (!valid) return tl::unexpected(valid.error());
  Principal principal;
  principal.role = Role::intermediate;
  principal.trust_domain = expected.trust_domain;
  principal.name = host;
  principal.spki = spki_of(raw.front());
  principal.not_after = not_after(raw.front());
  return principal;
}

// An Intermediate's certificate of our own CA that names hosts or addresses holds for these only.
base::Status check_host(gnutls_x509_crt_t leaf, const AltNames& names, const std::string& host,
                        const std::string& where) {
  if (names.dns.empty() && !names.addresses) return {};
  if (gnutls_x509_crt_check_hostname(leaf, host.c_str()) != 0) return {};
  return refuse("the certificate does not name the host \"" + host +
                    "\", expected one issued with it (ztna ca issue --dns or --ip)",
                where);
}

}  // namespace

base::Result<std::vector<Certificate>> parse_roots(std::string_view pem, const std::string& where) {
  auto roots = parse_certificates(pem, where);
  if (!roots) return roots;
  for (std::size_t i = 0; i < roots->size(); ++i) {
    const gnutls_x509_crt_t root = (*roots)[i].get();
    unsigned usage = 0, critical = 0;
    const bool may_sign = gnutls_x509_crt_get_key_usage(root, &usage, &critical) < 0 ||
                          (usage & GNUTLS_KEY_KEY_CERT_SIGN) != 0;
    if (!is_ca(root) || !may_sign) {
      return base::fail(
          base::ErrorCode::invalid_argument,
          "certificate " + std::to_string(i + 1) + " is not a CA's, expected CA certificates only",
          where);
    }
  }
  return roots;
}

base::Result<TrustList> make_trust_list(std::string_view pem, const std::string& where) {
  gnutls_x509_trust_list_t handle = nullptr;
  if (gnutls_x509_trust_list_init(&handle, 0) < 0) throw std::bad_alloc();
  TrustList list(handle);
  const gnutls_datum_t input = to_datum(pem);
  const int count =
      gnutls_x509_trust_list_add_trust_mem(list.get(), &input, nullptr, GNUTLS_X509_FMT_PEM, 0, 0);
  if (count <= 0) {
    return base::fail(base::ErrorCode::invalid_argument,
                      "cannot read the public roots, expected PEM certificates", where,
                      count < 0 ? gnutls_strerror(count) : "");
  }
  return list;
}

base::Status check_issued_by_roots(gnutls_x509_crt_t leaf, const Trust& trust, base::WallTime now,
                                   const std::string& where) {
  std::string cause;
  for (const Certificate& root : trust.roots) {
    // Several roots may share a name while one replaces another: only the signature tells.
    if (gnutls_x509_crt_check_issuer(leaf, root.get()) == 0) continue;
    const gnutls_x509_crt_t issuer = root.get();
    unsigned status = 0;
    const int code = gnutls_x509_crt_verify(leaf, &issuer, 1, verify_flags, &status);
    if (code < 0 || status != 0) {
      cause = code < 0 ? gnutls_strerror(code) : describe(status);
      continue;
    }
    const auto valid = check_validity(issuer, now, "the CA's certificate", trust.where);
    if (valid) return {};
    cause = valid.error().message();
  }
  return refuse("the certificate is not issued by a CA in " + trust.where, where, cause);
}

base::Result<Principal> verify_leaf(gnutls_x509_crt_t leaf, const Trust& trust, base::WallTime now,
                                    const std::string& where) {
  const auto algorithm = check_signature_algorithm(leaf, where);
  if (!algorithm) return tl::unexpected(algorithm.error());
  if (is_ca(leaf)) return refuse("the certificate is a CA's, expected a node's", where);
  const auto issued = check_issued_by_roots(leaf, trust, now, where);
  if (!issued) return tl::unexpected(issued.error());
  auto principal = read_principal(leaf, where);
  if (!principal) return principal;
  const auto valid = check_validity(leaf, now, "the certificate", where);
  if (!valid) return tl::unexpected(valid.error());
  const auto usage = check_usage(leaf, principal->role, where);
  if (!usage) return tl::unexpected(usage.error());
  return principal;
}

base::Result<Principal> verify_peer(std::span<const gnutls_datum_t> chain, const Trust& trust,
                                    const Expectation& expected, base::WallTime now) {
  const std::string where = "peer";
  if (chain.empty()) return refuse("the peer sent no certificate", where);
  if (chain.size() > max_chain) {
    return refuse("the peer sent " + std::to_string(chain.size()) +
                      " certificates, expected at most " + std::to_string(max_chain),
                  where);
  }
  std::vector<Certificate> certificates;
  for (const gnutls_datum_t& der : chain) {
    auto certificate = parse_der({der.data, der.size}, where);
    if (!certificate) return tl::unexpected(certificate.error());
    certificates.push_back(std::move(*certificate));
    // Only web PKI needs more than the leaf: what a peer sends besides it is not even parsed.
    if (expected.web_pki_host.empty()) break;
  }
  const gnutls_x509_crt_t leaf = certificates.front().get();
  if (!expected.web_pki_host.empty() && expected.role == Role::intermediate) {
    const auto names = read_alt_names(leaf, where);
    if (!names) return tl::unexpected(names.error());
    if (names->uris.empty()) return verify_web(certificates, trust, expected, now, where);
    const auto named = check_host(leaf, *names, expected.web_pki_host, where);
    if (!named) return tl::unexpected(named.error());
  }
  auto principal = verify_leaf(leaf, trust, now, where);
  if (!principal) return principal;
  const auto matches = check_expected(*principal, expected, "peer " + principal->uri());
  if (!matches) return tl::unexpected(matches.error());
  return principal;
}

}  // namespace ztna::identity
