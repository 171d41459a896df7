// Certificates that our own CA would never make: any names, times, usages and digests, signed by a
// CA that the peer trusts. Written with GnuTLS directly, on purpose apart from src/identity.
#pragma once

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "identity/authority.hpp"
#include "unit/identity/test_certificates.hpp"

namespace ztna::identity {

struct ForgedLeaf {
  std::vector<std::string> uris = {"spiffe://example.org/agent/alice"};
  std::vector<std::string> dns = {};
  std::int64_t from = test_now.seconds - 60;
  std::int64_t to = test_now.seconds + 3600;
  gnutls_digest_algorithm_t digest = GNUTLS_DIG_SHA256;
  unsigned key_usage = GNUTLS_KEY_DIGITAL_SIGNATURE;
  std::vector<std::string> purposes = {GNUTLS_KP_TLS_WWW_CLIENT, GNUTLS_KP_TLS_WWW_SERVER};
  bool ca = false;
  std::string raw_uri = {};  // as its octets are, which the library would refuse to write
};

struct ForgedPem {
  std::string certificate, key;
};

inline void must(int code) {
  if (code < 0) throw std::runtime_error(gnutls_strerror(code));
}

inline gnutls_datum_t pem_datum(const std::string& text) {
  return {reinterpret_cast<unsigned char*>(const_cast<char*>(text.data())),
          static_cast<unsigned>(text.size())};
}

inline ForgedPem forge(const CaPem& ca, const ForgedLeaf& leaf) {
  gnutls_x509_crt_t issuer = nullptr, certificate = nullptr;
  gnutls_x509_privkey_t issuer_key = nullptr, key = nullptr;
  const std::string key_pem = value_or_throw(make_key(KeyType::ecdsa_p256));
  must(gnutls_x509_crt_init(&issuer));
  must(gnutls_x509_crt_init(&certificate));
  must(gnutls_x509_privkey_init(&issuer_key));
  must(gnutls_x509_privkey_init(&key));
  gnutls_datum_t text = pem_datum(ca.certificate);
  must(gnutls_x509_crt_import(issuer, &text, GNUTLS_X509_FMT_PEM));
  text = pem_datum(ca.key);
  must(gnutls_x509_privkey_import(issuer_key, &text, GNUTLS_X509_FMT_PEM));
  text = pem_datum(key_pem);
  must(gnutls_x509_privkey_import(key, &text, GNUTLS_X509_FMT_PEM));
  must(gnutls_x509_crt_set_version(certificate, 3));
  must(gnutls_x509_crt_set_serial(certificate, "\x01\x02\x03", 3));
  must(gnutls_x509_crt_set_key(certificate, key));
  must(gnutls_x509_crt_set_activation_time(certificate, leaf.from));
  must(gnutls_x509_crt_set_expiration_time(certificate, leaf.to));
  must(gnutls_x509_crt_set_basic_constraints(certificate, leaf.ca ? 1 : 0, -1));
  must(gnutls_x509_crt_set_key_usage(certificate, leaf.key_usage));
  for (const std::string& oid : leaf.purposes) {
    must(gnutls_x509_crt_set_key_purpose_oid(certificate, oid.c_str(), 0));
  }
  const auto add = [certificate](gnutls_x509_subject_alt_name_t type, const std::string& name) {
    must(gnutls_x509_crt_set_subject_alt_name(
        certificate, type, name.data(), static_cast<unsigned>(name.size()), GNUTLS_FSAN_APPEND));
  };
  for (const std::string& uri : leaf.uris) add(GNUTLS_SAN_URI, uri);
  for (const std::string& name : leaf.dns) add(GNUTLS_SAN_DNSNAME, name);
  if (!leaf.raw_uri.empty()) {  // SEQUENCE { [6] octets }, RFC 5280 §4.2.1.6
    const char size = static_cast<char>(leaf.raw_uri.size());
    const std::string der =
        std::string{0x30, static_cast<char>(size + 2), '\x86', size} + leaf.raw_uri;
    must(gnutls_x509_crt_set_extension_by_oid(certificate, "2.5.29.17", der.data(), der.size(), 0));
  }
  must(gnutls_x509_crt_sign2(certificate, issuer, issuer_key, leaf.digest, 0));
  gnutls_datum_t out{nullptr, 0};
  must(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &out));
  ForgedPem forged{std::string(reinterpret_cast<char*>(out.data), out.size), key_pem};
  gnutls_free(out.data);
  gnutls_x509_crt_deinit(issuer);
  gnutls_x509_crt_deinit(certificate);
  gnutls_x509_privkey_deinit(issuer_key);
  gnutls_x509_privkey_deinit(key);
  return forged;
}

// GnuTLS credentials that check nothing, for the end that lies.
class Impostor {
 public:
  explicit Impostor(const ForgedPem& pem) {
    must(gnutls_certificate_allocate_credentials(&handle_));
    const gnutls_datum_t certificate = pem_datum(pem.certificate), key = pem_datum(pem.key);
    must(gnutls_certificate_set_x509_key_mem(handle_, &certificate, &key, GNUTLS_X509_FMT_PEM));
  }
  Impostor(const Impostor&) = delete;
  Impostor& operator=(const Impostor&) = delete;
  ~Impostor() { gnutls_certificate_free_credentials(handle_); }
  [[nodiscard]] gnutls_certificate_credentials_t handle() const { return handle_; }

 private:
  gnutls_certificate_credentials_t handle_ = nullptr;
};

}  // namespace ztna::identity
