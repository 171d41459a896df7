#include "identity/signature.hpp"

#include <gnutls/abstract.h>

#include "identity/certificate.hpp"
#include "identity/signed_text.hpp"
#include "identity/verification.hpp"

namespace ztna::identity {
namespace {

using SigningKey = Owned<gnutls_privkey_t, gnutls_privkey_deinit>;
using PublicKey = Owned<gnutls_pubkey_t, gnutls_pubkey_deinit>;

// One algorithm for each kind of key, so that a signature needs no name of one.
gnutls_sign_algorithm_t algorithm_of(int public_key_algorithm) {
  switch (public_key_algorithm) {
    case GNUTLS_PK_ECDSA: return GNUTLS_SIGN_ECDSA_SHA256;
    case GNUTLS_PK_EDDSA_ED25519: return GNUTLS_SIGN_EDDSA_ED25519;
    case GNUTLS_PK_RSA: return GNUTLS_SIGN_RSA_SHA256;
    default: return GNUTLS_SIGN_UNKNOWN;
  }
}

std::string signed_octets(std::string_view prefix, std::string_view text) {
  std::string octets(prefix);
  octets += '\0';
  octets += text;
  return octets;
}

}  // namespace

base::Result<base::Bytes> make_signature(gnutls_x509_privkey_t key, std::string_view prefix,
                                         std::string_view text) {
  const auto signer = make_handle<SigningKey>(gnutls_privkey_init);
  const auto loaded = check_gnutls(gnutls_privkey_import_x509(signer.get(), key, 0),
                                   "the private key cannot be used for signing");
  if (!loaded) return tl::unexpected(loaded.error());
  const std::string octets = signed_octets(prefix, text);
  const gnutls_datum_t input = to_datum(octets);
  Datum signature;
  const auto algorithm =
      algorithm_of(gnutls_privkey_get_pk_algorithm(signer.get(), /*bits=*/nullptr));
  const auto done =
      check_gnutls(gnutls_privkey_sign_data2(signer.get(), algorithm, 0, &input, signature.out()),
                   "the text cannot be signed with this private key");
  if (!done) return tl::unexpected(done.error());
  return base::Bytes(signature.bytes().begin(), signature.bytes().end());
}

base::Status check_signature(const SignedText& what, std::string_view prefix) {
  const auto certificate = parse_der(what.certificate, "signer");
  if (!certificate) return tl::unexpected(certificate.error());
  const auto key = make_handle<PublicKey>(gnutls_pubkey_init);
  const auto loaded = check_gnutls(gnutls_pubkey_import_x509(key.get(), certificate->get(), 0),
                                   "the certificate's key cannot be read");
  if (!loaded) return loaded;
  const std::string octets = signed_octets(prefix, what.text);
  const gnutls_datum_t input = to_datum(octets);
  const gnutls_datum_t signature = to_datum(what.signature);
  const auto algorithm = algorithm_of(gnutls_pubkey_get_pk_algorithm(key.get(), nullptr));
  if (gnutls_pubkey_verify_data2(key.get(), algorithm, 0, &input, &signature) < 0) {
    return base::fail(base::ErrorCode::unauthenticated,
                      "the signature is not of this text and this certificate");
  }
  return {};
}

struct Roots::Impl {
  Trust trust;
};

Roots::Roots(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Roots::~Roots() = default;
Roots::Roots(Roots&&) noexcept = default;
Roots& Roots::operator=(Roots&&) noexcept = default;

base::Result<Roots> Roots::load(std::string_view pem, std::string where) {
  auto roots = parse_roots(pem, where);
  if (!roots) return tl::unexpected(roots.error());
  auto impl = std::make_unique<Impl>();
  impl->trust.roots = std::move(*roots);
  impl->trust.where = std::move(where);
  return Roots(std::move(impl));
}

base::Result<Principal> Roots::identify(base::BytesView certificate, base::WallTime at) const {
  const auto leaf = parse_der(certificate, "signer");
  if (!leaf) return tl::unexpected(leaf.error());
  return verify_leaf(leaf->get(), impl_->trust, at, "signer");
}

}  // namespace ztna::identity
