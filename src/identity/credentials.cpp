#include "identity/credentials.hpp"

#include <gnutls/crypto.h>

#include <algorithm>
#include <utility>

#include "identity/certificate.hpp"
#include "identity/signature.hpp"
#include "identity/verification.hpp"

namespace ztna::identity {
namespace {

using CertificateCredentials =
    Owned<gnutls_certificate_credentials_t, gnutls_certificate_free_credentials>;

// The private number, so that another encoding of the same key derives the same octets. It may have
// zeros in front.
base::Status read_private_number(gnutls_x509_privkey_t key, Datum& out, std::size_t& width,
                                 const std::string& where) {
  gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;
  Datum x, y;
  int code = gnutls_x509_privkey_export_ecc_raw(key, &curve, x.out(), y.out(), out.out());
  width = code >= 0 ? static_cast<std::size_t>(gnutls_ecc_curve_get_size(curve)) : 0;
  if (code == GNUTLS_E_INVALID_REQUEST) {
    Datum modulus, exponent, p, q, u, e1, e2;
    code = gnutls_x509_privkey_export_rsa_raw2(key, modulus.out(), exponent.out(), out.out(),
                                               p.out(), q.out(), u.out(), e1.out(), e2.out());
  }
  if (code >= 0) return {};
  return base::fail(base::ErrorCode::invalid_argument,
                    "the private key is of an unknown kind, expected ECDSA, Ed25519 or RSA", where,
                    gnutls_strerror(code));
}

// HKDF-Extract (RFC 5869 §2.2) without salt, from the number in the curve's width (RFC 5915 §3), or
// for RSA without zeros in front.
base::Result<base::Secret<32>> extract(gnutls_x509_privkey_t key, const std::string& where) {
  Datum number;
  std::size_t width = 0;
  const auto read = read_private_number(key, number, width, where);
  if (!read) return tl::unexpected(read.error());
  base::BytesView octets = number.bytes();
  while (octets.size() > width && !octets.empty() && octets.front() == 0)
    octets = octets.subspan(1);
  base::Secret<66> padded;  // as wide as P-521
  if (octets.size() < width && width <= padded.expose().size()) {
    std::ranges::copy(octets, padded.expose().subspan(width - octets.size()).begin());
    octets = std::as_const(padded).expose().first(width);
  }
  base::Secret<32> secret;
  const gnutls_datum_t input = to_datum(octets);
  const gnutls_datum_t salt{nullptr, 0};
  const auto done =
      check_gnutls(gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &input, &salt, secret.expose().data()),
                   "cannot derive from the private key", where);
  if (!done) return tl::unexpected(done.error());
  return secret;
}

base::Result<CertificateCredentials> make_handle_for_tls(std::span<const Certificate> chain,
                                                         gnutls_x509_privkey_t key,
                                                         const std::string& where) {
  auto credentials = make_handle<CertificateCredentials>(gnutls_certificate_allocate_credentials);
  std::vector<gnutls_x509_crt_t> raw;
  for (const Certificate& certificate : chain) raw.push_back(certificate.get());
  const auto set = check_gnutls(gnutls_certificate_set_x509_key(credentials.get(), raw.data(),
                                                                static_cast<int>(raw.size()), key),
                                "the certificate and key cannot be used for TLS", where);
  if (!set) return tl::unexpected(set.error());
  return credentials;
}

// The trust domain that all of our roots carry; empty when one carries none, or another.
std::string common_trust_domain(const std::vector<Certificate>& roots) {
  std::string domain;
  for (const Certificate& root : roots) {
    std::string own = read_ca_trust_domain(root.get());
    if (own.empty() || (!domain.empty() && own != domain)) return {};
    domain = std::move(own);
  }
  return domain;
}

// Our own leaf: verified like a peer's, or the public certificate of an Intermediate.
base::Result<Principal> read_self(gnutls_x509_crt_t leaf, const Trust& trust, base::WallTime now,
                                  const std::string& where) {
  const auto names = read_alt_names(leaf, where);
  if (!names) return tl::unexpected(names.error());
  const bool is_public =
      names->uris.empty() && !names->dns.empty() && !check_issued_by_roots(leaf, trust, now, where);
  if (!is_public) return verify_leaf(leaf, trust, now, where);
  const auto valid = check_validity(leaf, now, "the certificate", where);
  if (!valid) return tl::unexpected(valid.error());
  Principal self;
  self.role = Role::intermediate;
  self.trust_domain = common_trust_domain(trust.roots);
  self.name = names->dns.front();
  self.spki = spki_of(leaf);
  self.not_after = not_after(leaf);
  return self;
}

}  // namespace

struct Credentials::Impl {
  CertificateCredentials handle;
  PrivateKey key;
  base::Bytes certificate;
  Trust trust;
  Principal self;
  base::Secret<32> extracted;
};

Credentials::Credentials(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Credentials::~Credentials() = default;

base::Result<std::shared_ptr<const Credentials>> Credentials::load(const Pem& pem,
                                                                   base::WallTime now) {
  auto impl = std::make_unique<Impl>();
  auto roots = parse_roots(pem.roots, pem.roots_where);
  if (!roots) return tl::unexpected(roots.error());
  impl->trust.roots = std::move(*roots);
  impl->trust.where = pem.roots_where;
  if (!pem.web_roots.empty()) {
    auto web = make_trust_list(pem.web_roots, pem.web_roots_where);
    if (!web) return tl::unexpected(web.error());
    impl->trust.web = std::move(*web);
  }
  const auto chain = parse_certificates(pem.certificate, pem.certificate_where);
  if (!chain) return tl::unexpected(chain.error());
  const gnutls_x509_crt_t leaf = chain->front().get();
  auto key = parse_key(pem.key, pem.key_where);
  if (!key) return tl::unexpected(key.error());
  const auto matches = check_key_matches(leaf, key->get(), pem.certificate_where, pem.key_where);
  if (!matches) return tl::unexpected(matches.error());
  auto self = read_self(leaf, impl->trust, now, pem.certificate_where);
  if (!self) return tl::unexpected(self.error());
  impl->self = std::move(*self);
  auto extracted = extract(key->get(), pem.key_where);
  if (!extracted) return tl::unexpected(extracted.error());
  impl->extracted = *extracted;
  auto handle = make_handle_for_tls(*chain, key->get(), pem.certificate_where);
  if (!handle) return tl::unexpected(handle.error());
  impl->handle = std::move(*handle);
  auto der = to_der(leaf, pem.certificate_where);
  if (!der) return tl::unexpected(der.error());
  impl->certificate = std::move(*der);
  impl->key = std::move(*key);
  return std::shared_ptr<const Credentials>(new Credentials(std::move(impl)));
}

const Principal& Credentials::self() const { return impl_->self; }

gnutls_certificate_credentials_st* Credentials::handle() const { return impl_->handle.get(); }

base::Secret<32> Credentials::derive(std::string_view label) const {
  base::Secret<32> derived;
  const gnutls_datum_t key = to_datum(impl_->extracted.expose());
  const gnutls_datum_t info = to_datum(label);
  const base::MutableBytes out = derived.expose();
  if (gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &key, &info, out.data(), out.size()) < 0) {
    throw std::bad_alloc();  // the only way SHA-256 over 32 octets can fail
  }
  return derived;
}

base::Result<SignedText> Credentials::sign(std::string_view prefix, std::string text) const {
  auto signature = make_signature(impl_->key.get(), prefix, text);
  if (!signature) return tl::unexpected(signature.error());
  return SignedText{std::move(text), std::move(*signature), impl_->certificate};
}

base::Result<Principal> Credentials::verify(gnutls_session_int* session,
                                            const Expectation& expected, base::WallTime now) const {
  unsigned count = 0;
  const gnutls_datum_t* const chain = gnutls_certificate_get_peers(session, &count);
  return verify_peer({chain, chain == nullptr ? 0 : count}, impl_->trust, expected, now);
}

base::Status Credentials::still_trusts(const std::string& leaf_der, const Principal& peer,
                                       base::WallTime now) const {
  const std::string where = "peer " + peer.uri();
  const auto leaf = parse_der(base::as_bytes(leaf_der), where);
  if (!leaf) return tl::unexpected(leaf.error());
  if (spki_of(leaf->get()) != peer.spki) {
    return base::fail(base::ErrorCode::internal, "the certificate is not this peer's", where);
  }
  const auto names = read_alt_names(leaf->get(), where);
  if (!names) return tl::unexpected(names.error());
  if (!names->uris.empty()) {
    const auto issued = check_issued_by_roots(leaf->get(), impl_->trust, now, where);
    if (!issued) return issued;
  } else if (!impl_->trust.web) {
    return base::fail(base::ErrorCode::unauthenticated,
                      "public certificates are no longer accepted", where);
  }
  return check_validity(leaf->get(), now, "the certificate", where);
}

}  // namespace ztna::identity
