#include "identity/inspection.hpp"

#include "identity/certificate.hpp"
#include "identity/verification.hpp"

namespace ztna::identity {
namespace {

Period period_of(gnutls_x509_crt_t certificate) {
  return {not_before(certificate), not_after(certificate)};
}

}  // namespace

Inspection inspect(const Credentials::Pem& pem, base::WallTime now) {
  Inspection found;
  Trust trust;
  trust.where = pem.roots_where;
  if (auto roots = parse_roots(pem.roots, pem.roots_where)) {
    trust.roots = std::move(*roots);
    for (const Certificate& root : trust.roots) {
      found.root_validity.push_back(period_of(root.get()));
    }
  } else {
    found.roots = tl::unexpected(roots.error());
  }
  const auto key = parse_key(pem.key, pem.key_where);
  if (!key) found.key = tl::unexpected(key.error());
  const auto chain = parse_certificates(pem.certificate, pem.certificate_where);
  if (!chain) {
    found.leaf = tl::unexpected(chain.error());
    return found;
  }
  const gnutls_x509_crt_t leaf = chain->front().get();
  found.leaf = read_principal(leaf, pem.certificate_where);
  found.validity = period_of(leaf);
  if (key) {
    found.key = check_key_matches(leaf, key->get(), pem.certificate_where, pem.key_where);
  }
  if (found.roots) {
    found.issued = check_issued_by_roots(leaf, trust, now, pem.certificate_where);
  }
  return found;
}

}  // namespace ztna::identity
