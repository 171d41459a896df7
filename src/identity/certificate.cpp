#include "identity/certificate.hpp"

#include <array>

#include "base/rfc3339.hpp"

namespace ztna::identity {
namespace {

constexpr unsigned max_certificates = 256;  // a system's bundle of public roots holds about 150
constexpr unsigned max_alt_names = 1024;

base::WallTime to_wall_time(time_t seconds) {
  return base::WallTime{static_cast<std::int64_t>(seconds)};
}

// One subject alternative name, or false at the end of the list.
base::Result<bool> read_alt_name(gnutls_x509_crt_t certificate, unsigned index,
                                 const std::string& where, std::string& name, unsigned& type) {
  std::size_t size = 0;
  const int probe =
      gnutls_x509_crt_get_subject_alt_name2(certificate, index, nullptr, &size, &type, nullptr);
  if (probe == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) return false;
  if (probe < 0 && probe != GNUTLS_E_SHORT_MEMORY_BUFFER) {
    return base::fail(base::ErrorCode::invalid_argument,
                      "the certificate's subject alternative names are malformed", where,
                      gnutls_strerror(probe));
  }
  std::string buffer(size + 1, '\0');
  size = buffer.size();
  const int code = gnutls_x509_crt_get_subject_alt_name2(certificate, index, buffer.data(), &size,
                                                         &type, nullptr);
  if (code < 0) {
    return base::fail(base::ErrorCode::invalid_argument,
                      "the certificate's subject alternative names are malformed", where,
                      gnutls_strerror(code));
  }
  buffer.resize(size);
  name = std::move(buffer);
  return true;
}

// dNSNames `<service>.svc.<trust-domain>`; names outside of .svc.<trust-domain> are not ours.
base::Result<std::vector<std::string>> read_services(const AltNames& names,
                                                     const std::string& trust_domain,
                                                     const std::string& where) {
  const std::string suffix = ".svc." + trust_domain;
  std::vector<std::string> services;
  for (const std::string& name : names.dns) {
    if (!name.ends_with(suffix)) continue;
    const std::string service = name.substr(0, name.size() - suffix.size());
    if (service != "*" && !is_valid_name(service)) {
      std::string what = "the certificate's dNSName \"" + printable(name);
      what += "\" names no service, expected <service>" + suffix;
      what += " or *" + suffix;
      return base::fail(base::ErrorCode::invalid_argument, what, where);
    }
    services.push_back(service);
  }
  return services;
}

}  // namespace

base::Result<std::vector<Certificate>> parse_certificates(std::string_view pem,
                                                          const std::string& where) {
  gnutls_x509_crt_t* list = nullptr;
  unsigned count = 0;
  const gnutls_datum_t input = to_datum(pem);
  const int code = gnutls_x509_crt_list_import2(&list, &count, &input, GNUTLS_X509_FMT_PEM, 0);
  if (code < 0) {
    return base::fail(base::ErrorCode::invalid_argument,
                      "cannot read a certificate, expected PEM (-----BEGIN CERTIFICATE-----)",
                      where, gnutls_strerror(code));
  }
  std::vector<Certificate> certificates;
  for (unsigned i = 0; i < count; ++i) certificates.emplace_back(list[i]);
  gnutls_free(static_cast<void*>(list));
  if (count == 0 || count > max_certificates) {
    return base::fail(base::ErrorCode::invalid_argument,
                      "holds " + std::to_string(count) + " certificates, expected 1 to " +
                          std::to_string(max_certificates),
                      where);
  }
  return certificates;
}

base::Result<Certificate> parse_der(base::BytesView der, const std::string& where) {
  auto certificate = make_handle<Certificate>(gnutls_x509_crt_init);
  const gnutls_datum_t input = to_datum(der);
  const int code = gnutls_x509_crt_import(certificate.get(), &input, GNUTLS_X509_FMT_DER);
  if (code < 0) {
    return base::fail(base::ErrorCode::invalid_argument, "the certificate is not X.509", where,
                      gnutls_strerror(code));
  }
  return certificate;
}

base::Result<base::Bytes> to_der(gnutls_x509_crt_t certificate, const std::string& where) {
  Datum der;
  const auto done =
      check_gnutls(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_DER, der.out()),
                   "the certificate cannot be written as DER", where);
  if (!done) return tl::unexpected(done.error());
  return base::Bytes(der.bytes().begin(), der.bytes().end());
}

base::Result<PrivateKey> parse_key(std::string_view pem, const std::string& where) {
  auto key = make_handle<PrivateKey>(gnutls_x509_privkey_init);
  const gnutls_datum_t input = to_datum(pem);
  const int code = gnutls_x509_privkey_import2(key.get(), &input, GNUTLS_X509_FMT_PEM, nullptr, 0);
  if (code == GNUTLS_E_DECRYPTION_FAILED) {
    return base::fail(base::ErrorCode::invalid_argument,
                      "the private key is encrypted, expected an unencrypted one (file mode 0600)",
                      where);
  }
  if (code < 0) {
    return base::fail(base::ErrorCode::invalid_argument,
                      "cannot read a private key, expected PEM (-----BEGIN PRIVATE KEY-----)",
                      where, gnutls_strerror(code));
  }
  return key;
}

base::Result<AltNames> read_alt_names(gnutls_x509_crt_t certificate, const std::string& where) {
  AltNames names;
  for (unsigned index = 0; index < max_alt_names; ++index) {
    std::string name;
    unsigned type = 0;
    const base::Result<bool> more = read_alt_name(certificate, index, where, name, type);
    if (!more) return tl::unexpected(more.error());
    if (!*more) return names;
    if (type == GNUTLS_SAN_URI) {
      names.uris.push_back(std::move(name));
    } else if (type == GNUTLS_SAN_DNSNAME) {
      names.dns.push_back(std::move(name));
    } else if (type == GNUTLS_SAN_IPADDRESS) {
      names.addresses = true;
    }
  }
  return base::fail(base::ErrorCode::invalid_argument,
                    "the certificate has too many subject alternative names, expected at most " +
                        std::to_string(max_alt_names),
                    where);
}

base::Result<Principal> read_principal(gnutls_x509_crt_t leaf, const std::string& where) {
  const base::Result<AltNames> names = read_alt_names(leaf, where);
  if (!names) return tl::unexpected(names.error());
  if (names->uris.size() != 1) {
    const std::string count = names->uris.empty() ? "no" : std::to_string(names->uris.size());
    return base::fail(base::ErrorCode::unauthenticated,
                      "the certificate carries " + count +
                          " URI names, expected exactly one, a SPIFFE id "
                          "(spiffe://<trust-domain>/<role>/<name>)",
                      where);
  }
  base::Result<SpiffeId> id = parse_spiffe_id(names->uris.front());
  if (!id) {
    id.error().where = where;
    return tl::unexpected(std::move(id.error()));
  }
  Principal principal;
  principal.role = id->role;
  principal.trust_domain = std::move(id->trust_domain);
  principal.name = std::move(id->name);
  principal.spki = spki_of(leaf);
  principal.not_after = not_after(leaf);
  if (principal.role == Role::connector) {
    auto services = read_services(*names, principal.trust_domain, where);
    if (!services) return tl::unexpected(services.error());
    principal.serve = std::move(*services);
  }
  return principal;
}

Spki spki_of(gnutls_x509_crt_t certificate) {
  // GnuTLS encodes the key anew before hashing, so another encoding of the same key in a
  // certificate does not give another hash.
  Spki spki{};
  std::size_t size = spki.size();
  gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, spki.data(), &size);
  return spki;
}

base::WallTime not_before(gnutls_x509_crt_t certificate) {
  return to_wall_time(gnutls_x509_crt_get_activation_time(certificate));
}

base::WallTime not_after(gnutls_x509_crt_t certificate) {
  return to_wall_time(gnutls_x509_crt_get_expiration_time(certificate));
}

bool is_ca(gnutls_x509_crt_t certificate) {
  unsigned critical = 0;
  return gnutls_x509_crt_get_ca_status(certificate, &critical) > 0;
}

base::Status check_validity(gnutls_x509_crt_t certificate, base::WallTime now,
                            const std::string& what, const std::string& where) {
  if (now < not_before(certificate)) {
    return base::fail(base::ErrorCode::unauthenticated,
                      what + " is not valid before " + rfc3339(not_before(certificate)) +
                          ", it is now " + rfc3339(now),
                      where);
  }
  if (now > not_after(certificate)) {
    return base::fail(
        base::ErrorCode::unauthenticated,
        what + " expired at " + rfc3339(not_after(certificate)) + ", it is now " + rfc3339(now),
        where);
  }
  return {};
}

base::Status check_key_matches(gnutls_x509_crt_t leaf, gnutls_x509_privkey_t key,
                               const std::string& certificate_where, const std::string& key_where) {
  Spki of_key{};
  std::size_t size = of_key.size();
  const int code =
      gnutls_x509_privkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, of_key.data(), &size);
  if (code >= 0 && of_key == spki_of(leaf)) return {};
  return base::fail(base::ErrorCode::invalid_argument,
                    "the private key does not belong to the certificate in " + certificate_where,
                    key_where);
}

std::string read_ca_trust_domain(gnutls_x509_crt_t certificate) {
  constexpr std::string_view scheme = "spiffe://";
  const base::Result<AltNames> names = read_alt_names(certificate, {});
  if (!names || names->uris.size() != 1 || !names->uris.front().starts_with(scheme)) return {};
  const std::string domain = names->uris.front().substr(scheme.size());
  return is_valid_trust_domain(domain) ? domain : std::string();
}

}  // namespace ztna::identity
