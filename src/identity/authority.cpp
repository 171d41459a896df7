#include "identity/authority.hpp"

#include <algorithm>
#include <array>

#include "base/address.hpp"
#include "base/rfc3339.hpp"
#include "identity/certificate.hpp"
#include "identity/signing_request.hpp"
#include "identity/verification.hpp"

namespace ztna::identity {
namespace {

constexpr std::int64_t day_seconds = 24 * 60 * 60;
constexpr std::size_t key_id_size = 20;  // RFC 7093 §2

tl::unexpected<base::Error> invalid(std::string what, std::string where = {}) {
  return base::fail(base::ErrorCode::invalid_argument, std::move(what), std::move(where));
}

// Builds one certificate; the first failure of the library sticks.
class Writer {
 public:
  Writer() : certificate_(make_handle<Certificate>(gnutls_x509_crt_init)) {
    keep(gnutls_x509_crt_set_version(raw(), 3));
  }

  [[nodiscard]] gnutls_x509_crt_t raw() const { return certificate_.get(); }
  void keep(int code) {
    if (code_ >= 0 && code < 0) code_ = code;
  }

  // 127 random bits, not zero (RFC 5280 §4.1.2.2).
  std::string serial(base::Random& random) {
    std::array<std::uint8_t, 16> octets{};
    random.fill(octets);
    octets[0] = static_cast<std::uint8_t>((octets[0] & 0x3f) | 0x40);  // positive, full length
    keep(gnutls_x509_crt_set_serial(raw(), octets.data(), octets.size()));
    return base::to_hex(octets);
  }
  void validity(base::WallTime from, base::WallTime to) {
    keep(gnutls_x509_crt_set_activation_time(raw(), static_cast<time_t>(from.seconds)));
    keep(gnutls_x509_crt_set_expiration_time(raw(), static_cast<time_t>(to.seconds)));
  }
  void common_name(const std::string& name) {
    keep(gnutls_x509_crt_set_dn_by_oid(raw(), GNUTLS_OID_X520_COMMON_NAME, 0, name.data(),
                                       static_cast<unsigned>(name.size())));
  }
  void alt_name(gnutls_x509_subject_alt_name_t type, base::BytesView name) {
    keep(gnutls_x509_crt_set_subject_alt_name(
        raw(), type, name.data(), static_cast<unsigned>(name.size()), GNUTLS_FSAN_APPEND));
  }
  void public_key(gnutls_pubkey_t key) {
    keep(gnutls_x509_crt_set_pubkey(raw(), key));
    if (code_ < 0) return;
    const Spki hash = spki_of(raw());
    keep(gnutls_x509_crt_set_subject_key_id(raw(), hash.data(), key_id_size));
  }
  void issuer_key_id(gnutls_x509_crt_t issuer) {
    std::array<std::uint8_t, 64> id{};
    std::size_t size = id.size();
    unsigned critical = 0;
    // An issuer without one (another program's CA) is no error.
    if (gnutls_x509_crt_get_subject_key_id(issuer, id.data(), &size, &critical) < 0) return;
    keep(gnutls_x509_crt_set_authority_key_id(raw(), id.data(), size));
  }
  void purpose(const char* oid) { keep(gnutls_x509_crt_set_key_purpose_oid(raw(), oid, 0)); }

  base::Result<std::string> sign(gnutls_x509_crt_t issuer, gnutls_x509_privkey_t key) {
    if (code_ >= 0) keep(gnutls_x509_crt_sign2(raw(), issuer, key, digest_for(key), 0));
    Datum pem;
    if (code_ >= 0) keep(gnutls_x509_crt_export2(raw(), GNUTLS_X509_FMT_PEM, pem.out()));
    const auto done = check_gnutls(code_, "cannot make the certificate");
    if (!done) return tl::unexpected(done.error());
    return pem.text();
  }

 private:
  Certificate certificate_;
  int code_ = 0;
};

base::Status check_days(int days) {
  if (days >= 1 && days <= max_days) return {};
  return invalid(
      std::to_string(days) + " days of validity, expected 1 to " + std::to_string(max_days),
      "days");
}

struct LoadedCa {
  Trust trust;  // holds exactly the CA's certificate
  PrivateKey key;
  std::string trust_domain;
  [[nodiscard]] gnutls_x509_crt_t certificate() const { return trust.roots.front().get(); }
};

base::Result<LoadedCa> load_ca(const CaPem& pem) {
  LoadedCa ca;
  auto roots = parse_roots(pem.certificate, pem.certificate_where);
  if (!roots) return tl::unexpected(roots.error());
  if (roots->size() != 1) {
    return invalid("holds " + std::to_string(roots->size()) + " certificates, expected the one CA",
                   pem.certificate_where);
  }
  ca.trust.roots = std::move(*roots);
  ca.trust.where = pem.certificate_where;
  auto key = parse_key(pem.key, pem.key_where);
  if (!key) return tl::unexpected(key.error());
  ca.key = std::move(*key);
  Spki of_key{};
  std::size_t size = of_key.size();
  if (gnutls_x509_privkey_get_key_id(ca.key.get(), GNUTLS_KEYID_USE_SHA256, of_key.data(), &size) <
          0 ||
      of_key != spki_of(ca.certificate())) {
    return invalid(
        "the private key does not belong to the CA's certificate in " + pem.certificate_where,
        pem.key_where);
  }
  ca.trust_domain = read_ca_trust_domain(ca.certificate());
  if (ca.trust_domain.empty()) {
    return invalid(
        "the CA's certificate names no trust domain, expected one URI name "
        "spiffe://<trust-domain> (make the CA with: ztna ca init)",
        pem.certificate_where);
  }
  return ca;
}

void write_alt_names(Writer& writer, const LeafRequest& leaf, const Principal& principal) {
  writer.alt_name(GNUTLS_SAN_URI, base::as_bytes(principal.uri()));
  for (const std::string& service : principal.serve) {
    writer.alt_name(GNUTLS_SAN_DNSNAME, base::as_bytes(service + ".svc." + principal.trust_domain));
  }
  for (const std::string& host : leaf.dns)
    writer.alt_name(GNUTLS_SAN_DNSNAME, base::as_bytes(host));
  for (const std::string& ip : leaf.ip) {
    const auto address = base::Address::parse_ip(ip, 0);  // checked by check_leaf_request
    writer.alt_name(GNUTLS_SAN_IPADDRESS, address->octets());
  }
}

std::vector<std::string> without_repetitions(const std::vector<std::string>& names) {
  std::vector<std::string> unique;
  for (const std::string& name : names) {
    if (std::ranges::find(unique, name) == unique.end()) unique.push_back(name);
  }
  return unique;
}

base::Result<Issued> issue_leaf(const LoadedCa& ca, const LeafRequest& leaf, gnutls_pubkey_t key,
                                const std::string& key_where, base::WallTime now,
                                base::Random& random) {
  const auto strong = check_key_strength(key, key_where);
  if (!strong) return tl::unexpected(strong.error());
  const auto valid = check_validity(ca.certificate(), now, "the CA's certificate", ca.trust.where);
  if (!valid) return tl::unexpected(valid.error());
  const base::WallTime end{now.seconds + leaf.days * day_seconds};
  if (end > not_after(ca.certificate())) {
    return invalid(std::to_string(leaf.days) + " days reach past the end of the CA itself, " +
                       rfc3339(not_after(ca.certificate())) + ", expected fewer days",
                   ca.trust.where);
  }
  Issued issued;
  issued.principal.role = leaf.role;
  issued.principal.trust_domain = ca.trust_domain;
  issued.principal.name = leaf.name;
  issued.principal.not_after = end;
  issued.principal.serve = without_repetitions(leaf.serve);
  Writer writer;
  issued.serial = writer.serial(random);
  writer.validity({now.seconds - backdate_seconds}, end);
  writer.common_name(leaf.name);
  writer.public_key(key);
  writer.issuer_key_id(ca.certificate());
  write_alt_names(writer, leaf, issued.principal);
  writer.keep(gnutls_x509_crt_set_basic_constraints(writer.raw(), 0, -1));
  writer.keep(gnutls_x509_crt_set_key_usage(writer.raw(), GNUTLS_KEY_DIGITAL_SIGNATURE));
  if (leaf.role != Role::agent) writer.purpose(GNUTLS_KP_TLS_WWW_SERVER);
  if (leaf.role != Role::intermediate) writer.purpose(GNUTLS_KP_TLS_WWW_CLIENT);
  auto pem = writer.sign(ca.certificate(), ca.key.get());
  if (!pem) return tl::unexpected(pem.error());
  issued.certificate = std::move(*pem);
  issued.principal.spki = spki_of(writer.raw());
  return issued;
}

// The addresses among a certificate's alternative names, as text.
std::vector<std::string> read_ips(gnutls_x509_crt_t certificate) {
  std::vector<std::string> ips;
  for (unsigned index = 0;; ++index) {
    std::array<std::uint8_t, 4096> name{};
    std::size_t size = name.size();
    unsigned type = 0;
    const int code = gnutls_x509_crt_get_subject_alt_name2(certificate, index, name.data(), &size,
                                                           &type, nullptr);
    if (code < 0) return ips;
    if (type != GNUTLS_SAN_IPADDRESS) continue;
    if (size == 4) ips.push_back(base::Address::v4({name[0], name[1], name[2], name[3]}, 0).ip());
    if (size != 16) continue;
    std::array<std::uint8_t, 16> octets{};
    std::copy_n(name.begin(), 16, octets.begin());
    ips.push_back(base::Address::v6(octets, 0).ip());
  }
}

std::string serial_of(gnutls_x509_crt_t certificate) {
  std::array<std::uint8_t, 64> octets{};
  std::size_t size = octets.size();
  if (gnutls_x509_crt_get_serial(certificate, octets.data(), &size) < 0) return {};
  return base::to_hex({octets.data(), size});
}

}  // namespace

base::Result<CaPem> make_root(const std::string& trust_domain, KeyType type, int days,
                              base::WallTime now, base::Random& random) {
  if (!is_valid_trust_domain(trust_domain)) {
    return invalid("\"" + printable(trust_domain) +
                       "\" is not a trust domain, expected dot-separated labels of a-z, 0-9 and -, "
                       "like example.org",
                   "trust-domain");
  }
  const auto checked = check_days(days);
  if (!checked) return tl::unexpected(checked.error());
  auto key_pem = make_key(type);
  if (!key_pem) return tl::unexpected(key_pem.error());
  const auto key = parse_key(*key_pem, {});
  if (!key) return tl::unexpected(key.error());
  const auto public_key = public_key_of_private(*key_pem, {});
  if (!public_key) return tl::unexpected(public_key.error());
  Writer writer;
  (void)writer.serial(random);
  writer.validity({now.seconds - backdate_seconds}, {now.seconds + days * day_seconds});
  writer.common_name("ZTNA CA " + trust_domain.substr(0, 50));  // RFC 5280: at most 64 characters
  writer.public_key(public_key->get());
  writer.alt_name(GNUTLS_SAN_URI, base::as_bytes("spiffe://" + trust_domain));
  writer.keep(gnutls_x509_crt_set_basic_constraints(writer.raw(), 1, 0));
  writer.keep(
      gnutls_x509_crt_set_key_usage(writer.raw(), GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN));
  auto pem = writer.sign(writer.raw(), key->get());
  if (!pem) return tl::unexpected(pem.error());
  return CaPem{std::move(*pem), {}, std::move(*key_pem), {}};
}

base::Result<std::string> ca_trust_domain(const CaPem& ca) {
  auto loaded = load_ca(ca);
  if (!loaded) return tl::unexpected(loaded.error());
  return std::move(loaded->trust_domain);
}

base::Status check_leaf_request(const LeafRequest& leaf) {
  const std::string role(to_string(leaf.role));
  if (!is_valid_name(leaf.name)) {
    return invalid("\"" + printable(leaf.name) +
                       "\" is not a name, expected 1 to 63 of a-z, 0-9 and -, no - at the ends",
                   "name");
  }
  if (leaf.role == Role::connector && leaf.serve.empty()) {
    return invalid(
        "a connector's certificate names the services it may serve, expected one or "
        "more names, or *",
        "serve");
  }
  if (leaf.role != Role::connector && !leaf.serve.empty()) {
    return invalid("services to serve are for connectors, the role is " + role, "serve");
  }
  for (const std::string& service : leaf.serve) {
    if (service == "*" || is_valid_name(service)) continue;
    return invalid("\"" + printable(service) +
                       "\" is not a service, expected 1 to 63 of a-z, 0-9 and -, or * for all",
                   "serve");
  }
  if (leaf.role != Role::intermediate && !(leaf.dns.empty() && leaf.ip.empty())) {
    return invalid("host names and addresses are for intermediates, the role is " + role,
                   leaf.dns.empty() ? "ip" : "dns");
  }
  for (const std::string& host : leaf.dns) {
    if (is_valid_trust_domain(host)) continue;  // the same form
    return invalid("\"" + printable(host) +
                       "\" is not a host name, expected dot-separated labels of a-z, 0-9 and -",
                   "dns");
  }
  for (const std::string& ip : leaf.ip) {
    if (base::Address::parse_ip(ip, 0)) continue;
    return invalid("\"" + printable(ip) + "\" is not an IP address, expected one like 192.0.2.1",
                   "ip");
  }
  return check_days(leaf.days);
}

base::Result<Issued> issue_for_key(const CaPem& ca_pem, const LeafRequest& leaf,
                                   std::string_view key_pem, const std::string& key_where,
                                   base::WallTime now, base::Random& random) {
  const auto checked = check_leaf_request(leaf);
  if (!checked) return tl::unexpected(checked.error());
  const auto ca = load_ca(ca_pem);
  if (!ca) return tl::unexpected(ca.error());
  const auto key = public_key_of_private(key_pem, key_where);
  if (!key) return tl::unexpected(key.error());
  return issue_leaf(*ca, leaf, key->get(), key_where, now, random);
}

base::Result<Issued> issue_for_request(const CaPem& ca_pem, const LeafRequest& leaf,
                                       std::string_view request_pem,
                                       const std::string& request_where, base::WallTime now,
                                       base::Random& random) {
  const auto checked = check_leaf_request(leaf);
  if (!checked) return tl::unexpected(checked.error());
  const auto ca = load_ca(ca_pem);
  if (!ca) return tl::unexpected(ca.error());
  Principal asked;
  asked.role = leaf.role;
  asked.trust_domain = ca->trust_domain;
  asked.name = leaf.name;
  const auto key = public_key_of_request(request_pem, request_where, asked.uri());
  if (!key) return tl::unexpected(key.error());
  return issue_leaf(*ca, leaf, key->get(), request_where, now, random);
}

base::Result<Issued> renew(const CaPem& ca_pem, std::string_view certificate_pem,
                           const std::string& certificate_where, int days, base::WallTime now,
                           base::Random& random) {
  const auto ca = load_ca(ca_pem);
  if (!ca) return tl::unexpected(ca.error());
  const auto old = parse_certificates(certificate_pem, certificate_where);
  if (!old) return tl::unexpected(old.error());
  const gnutls_x509_crt_t leaf = old->front().get();
  const auto issued = check_issued_by_roots(leaf, ca->trust, now, certificate_where);
  if (!issued) return tl::unexpected(issued.error());
  const auto principal = read_principal(leaf, certificate_where);
  if (!principal) return tl::unexpected(principal.error());
  LeafRequest again;
  again.role = principal->role;
  again.name = principal->name;
  again.serve = principal->serve;
  again.days = days;
  if (principal->role == Role::intermediate) {
    auto names = read_alt_names(leaf, certificate_where);
    if (!names) return tl::unexpected(names.error());
    again.dns = std::move(names->dns);
    again.ip = read_ips(leaf);
  }
  const auto checked = check_leaf_request(again);
  if (!checked) return tl::unexpected(checked.error());
  auto key = make_handle<PublicKey>(gnutls_pubkey_init);
  const auto imported = check_gnutls(gnutls_pubkey_import_x509(key.get(), leaf, 0),
                                     "cannot read the certificate's key", certificate_where);
  if (!imported) return tl::unexpected(imported.error());
  return issue_leaf(*ca, again, key.get(), certificate_where, now, random);
}

base::Result<LeafSummary> read_leaf(std::string_view certificate_pem, const std::string& where) {
  const auto certificates = parse_certificates(certificate_pem, where);
  if (!certificates) return tl::unexpected(certificates.error());
  const gnutls_x509_crt_t leaf = certificates->front().get();
  auto principal = read_principal(leaf, where);
  if (!principal) return tl::unexpected(principal.error());
  return LeafSummary{serial_of(leaf), std::move(*principal)};
}

}  // namespace ztna::identity
