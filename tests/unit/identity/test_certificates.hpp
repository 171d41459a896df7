// Certificates for tests: a small CA in memory, and Credentials from it.
//
//   TestAuthority authority;                                    // trust domain "example.org"
//   auto agent = authority.agent("alice");                      // shared_ptr<const Credentials>
//   auto connector = authority.connector("home", {"web"});
//
// Include as "unit/identity/test_certificates.hpp" and depend on `identity`. Failures throw: a test
// that cannot make its certificates has nothing to say.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "identity/authority.hpp"
#include "identity/credentials.hpp"

namespace ztna::identity {

// 2026-01-01T00:00:00Z. Certificates are checked at the time that is handed in, so tests need no
// clock: hand this to Credentials::load and to quic::Config::wall_now.
inline constexpr base::WallTime test_now{1767225600};
inline constexpr std::int64_t day = 24 * 60 * 60;  // seconds

// A counter: repeatable serial numbers.
class CountingRandom : public base::Random {
 public:
  void fill(base::MutableBytes out) override {
    for (std::uint8_t& octet : out) octet = next_++;
  }

 private:
  std::uint8_t next_ = 1;
};

template <class T>
T value_or_throw(base::Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  return std::move(*result);
}

class TestAuthority {
 public:
  explicit TestAuthority(const std::string& trust_domain = "example.org",
                         KeyType key_type = KeyType::ecdsa_p256, base::WallTime now = test_now)
      : key_type_(key_type), now_(now) {
    ca_ = value_or_throw(make_root(trust_domain, key_type, 3650, now, random_));
    ca_.certificate_where = "ca-cert.pem";
    ca_.key_where = "ca-key.pem";
  }

  [[nodiscard]] const CaPem& ca() const { return ca_; }
  [[nodiscard]] const std::string& roots() const { return ca_.certificate; }

  // A node's PEM texts, with this CA as its root.
  [[nodiscard]] Credentials::Pem pem(const LeafRequest& leaf) {
    Credentials::Pem pem;
    pem.key = value_or_throw(make_key(key_type_));
    pem.key_where = "key.pem";
    pem.certificate =
        value_or_throw(issue_for_key(ca_, leaf, pem.key, pem.key_where, now_, random_)).certificate;
    pem.certificate_where = "cert.pem";
    pem.roots = ca_.certificate;
    pem.roots_where = "ca-cert.pem";
    return pem;
  }
  [[nodiscard]] std::shared_ptr<const Credentials> credentials(const LeafRequest& leaf) {
    return value_or_throw(Credentials::load(pem(leaf), now_));
  }

  [[nodiscard]] std::shared_ptr<const Credentials> agent(const std::string& name) {
    return credentials({.role = Role::agent, .name = name});
  }
  [[nodiscard]] std::shared_ptr<const Credentials> connector(const std::string& name,
                                                             std::vector<std::string> serve) {
    return credentials({.role = Role::connector, .name = name, .serve = std::move(serve)});
  }
  [[nodiscard]] std::shared_ptr<const Credentials> intermediate(const std::string& name) {
    return credentials({.role = Role::intermediate, .name = name});
  }

 private:
  KeyType key_type_;
  base::WallTime now_;
  CountingRandom random_;
  CaPem ca_;
};

}  // namespace ztna::identity
