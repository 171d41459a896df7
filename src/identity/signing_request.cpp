#include "identity/signing_request.hpp"

#include "identity/authority.hpp"
#include "identity/certificate.hpp"

namespace ztna::identity {
namespace {

base::Result<std::vector<std::string>> read_uris(gnutls_x509_crq_t request,
                                                 const std::string& where) {
  std::vector<std::string> uris;
  for (unsigned index = 0;; ++index) {
    std::string name(4096, '\0');
    std::size_t size = name.size();
    unsigned type = 0, critical = 0;
    const int code =
        gnutls_x509_crq_get_subject_alt_name(request, index, name.data(), &size, &type, &critical);
    if (code == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) return uris;
    if (code < 0) {
      return base::fail(base::ErrorCode::invalid_argument,
                        "the signing request's subject alternative names are malformed", where,
                        gnutls_strerror(code));
    }
    name.resize(size);
    if (type == GNUTLS_SAN_URI) uris.push_back(std::move(name));
  }
}

base::Status check_asks_for(gnutls_x509_crq_t request, const std::string& uri,
                            const std::string& where) {
  const auto uris = read_uris(request, where);
  if (!uris) return tl::unexpected(uris.error());
  if (uris->size() == 1 && uris->front() == uri) return {};
  std::string found = uris->empty() ? "no URI name" : "\"" + printable(uris->front()) + "\"";
  if (uris->size() > 1) found = std::to_string(uris->size()) + " URI names";
  return base::fail(base::ErrorCode::invalid_argument,
                    "the signing request asks for " + found + ", expected exactly \"" + uri + "\"",
                    where);
}

}  // namespace

gnutls_digest_algorithm_t digest_for(gnutls_x509_privkey_t key) {
  return gnutls_x509_privkey_get_pk_algorithm(key) == GNUTLS_PK_EDDSA_ED25519 ? GNUTLS_DIG_SHA512
                                                                              : GNUTLS_DIG_SHA256;
}

base::Result<std::string> make_key(KeyType type) {
  auto key = make_handle<PrivateKey>(gnutls_x509_privkey_init);
  const bool edwards = type == KeyType::ed25519;
  const auto made = check_gnutls(
      gnutls_x509_privkey_generate(
          key.get(), edwards ? GNUTLS_PK_EDDSA_ED25519 : GNUTLS_PK_ECDSA,
          GNUTLS_CURVE_TO_BITS(edwards ? GNUTLS_ECC_CURVE_ED25519 : GNUTLS_ECC_CURVE_SECP256R1), 0),
      "cannot generate a private key");
  if (!made) return tl::unexpected(made.error());
  Datum pem;
  const auto exported =
      check_gnutls(gnutls_x509_privkey_export2_pkcs8(key.get(), GNUTLS_X509_FMT_PEM, nullptr,
                                                     GNUTLS_PKCS_PLAIN, pem.out()),
                   "cannot write the private key as PEM");
  if (!exported) return tl::unexpected(exported.error());
  return pem.text();
}

base::Result<std::string> make_signing_request(const std::string& trust_domain, Role role,
                                               const std::string& name, const std::string& key_pem,
                                               const std::string& key_where) {
  Principal asked;
  asked.role = role;
  asked.trust_domain = trust_domain;
  asked.name = name;
  const std::string uri = asked.uri();
  const auto valid = parse_spiffe_id(uri);
  if (!valid) return tl::unexpected(valid.error());
  const auto key = parse_key(key_pem, key_where);
  if (!key) return tl::unexpected(key.error());
  auto request = make_handle<SigningRequest>(gnutls_x509_crq_init);
  const gnutls_x509_crq_t raw = request.get();
  int code = gnutls_x509_crq_set_version(raw, 1);
  if (code >= 0) code = gnutls_x509_crq_set_key(raw, key->get());
  if (code >= 0) {
    code = gnutls_x509_crq_set_dn_by_oid(raw, GNUTLS_OID_X520_COMMON_NAME, 0, name.data(),
                                         static_cast<unsigned>(name.size()));
  }
  if (code >= 0) {
    code = gnutls_x509_crq_set_subject_alt_name(raw, GNUTLS_SAN_URI, uri.data(),
                                                static_cast<unsigned>(uri.size()), GNUTLS_FSAN_SET);
  }
  if (code >= 0) code = gnutls_x509_crq_sign2(raw, key->get(), digest_for(key->get()), 0);
  Datum pem;
  if (code >= 0) code = gnutls_x509_crq_export2(raw, GNUTLS_X509_FMT_PEM, pem.out());
  const auto done = check_gnutls(code, "cannot make a signing request", key_where);
  if (!done) return tl::unexpected(done.error());
  return pem.text();
}

base::Result<PublicKey> public_key_of_private(std::string_view key_pem, const std::string& where) {
  const auto key = parse_key(key_pem, where);
  if (!key) return tl::unexpected(key.error());
  // The public half by way of an unsigned request: GnuTLS has no shorter way from an X.509 key.
  auto request = make_handle<SigningRequest>(gnutls_x509_crq_init);
  auto public_key = make_handle<PublicKey>(gnutls_pubkey_init);
  int code = gnutls_x509_crq_set_key(request.get(), key->get());
  if (code >= 0) code = gnutls_pubkey_import_x509_crq(public_key.get(), request.get(), 0);
  const auto done = check_gnutls(code, "cannot read the public half of the key", where);
  if (!done) return tl::unexpected(done.error());
  return public_key;
}

base::Result<PublicKey> public_key_of_request(std::string_view request_pem,
                                              const std::string& where, const std::string& uri) {
  auto request = make_handle<SigningRequest>(gnutls_x509_crq_init);
  const gnutls_datum_t input = to_datum(request_pem);
  const int read = gnutls_x509_crq_import(request.get(), &input, GNUTLS_X509_FMT_PEM);
  if (read < 0) {
    return base::fail(base::ErrorCode::invalid_argument,
                      "cannot read a signing request, expected PEM (-----BEGIN CERTIFICATE "
                      "REQUEST-----)",
                      where, gnutls_strerror(read));
  }
  const int verified = gnutls_x509_crq_verify(request.get(), 0);
  if (verified < 0) {
    return base::fail(base::ErrorCode::invalid_argument,
                      "the signing request's signature is not by the key in it", where,
                      gnutls_strerror(verified));
  }
  const auto asks = check_asks_for(request.get(), uri, where);
  if (!asks) return tl::unexpected(asks.error());
  auto public_key = make_handle<PublicKey>(gnutls_pubkey_init);
  const auto imported =
      check_gnutls(gnutls_pubkey_import_x509_crq(public_key.get(), request.get(), 0),
                   "cannot read the signing request's key", where);
  if (!imported) return tl::unexpected(imported.error());
  return public_key;
}

base::Status check_key_strength(gnutls_pubkey_t key, const std::string& where) {
  unsigned bits = 0;
  const int code = gnutls_pubkey_get_pk_algorithm(key, &bits);
  const auto algorithm = code < 0 ? GNUTLS_PK_UNKNOWN : static_cast<gnutls_pk_algorithm_t>(code);
  const bool strong = (algorithm == GNUTLS_PK_ECDSA && bits >= 256) ||
                      algorithm == GNUTLS_PK_EDDSA_ED25519 ||
                      (algorithm == GNUTLS_PK_RSA && bits >= 2048);
  if (strong) return {};
  const char* const name = gnutls_pk_get_name(algorithm);
  return base::fail(base::ErrorCode::invalid_argument,
                    "the key is " + std::string(name == nullptr ? "of an unknown kind" : name) +
                        " of " + std::to_string(bits) +
                        " bits, expected ECDSA of 256, Ed25519, or RSA of 2048",
                    where);
}

}  // namespace ztna::identity
