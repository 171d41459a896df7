// Owners for GnuTLS's X.509 objects. For the .cpp files of this folder only.
#pragma once

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace ztna::identity {

template <class Handle, auto Release>
struct Releaser {
  void operator()(Handle handle) const { Release(handle); }
};
template <class Handle, auto Release>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Releaser<Handle, Release>>;

inline void release_trust_list(gnutls_x509_trust_list_t list) {
  gnutls_x509_trust_list_deinit(list, 1);  // 1: and the certificates in it
}

using Certificate = Owned<gnutls_x509_crt_t, gnutls_x509_crt_deinit>;
using PrivateKey = Owned<gnutls_x509_privkey_t, gnutls_x509_privkey_deinit>;
using SigningRequest = Owned<gnutls_x509_crq_t, gnutls_x509_crq_deinit>;
using TrustList = Owned<gnutls_x509_trust_list_t, release_trust_list>;

// An empty object of one of the above. Running out of memory throws, as everywhere.
template <class Owner, class Init>
[[nodiscard]] Owner make_handle(Init init) {
  typename Owner::pointer handle = nullptr;
  if (init(&handle) < 0) throw std::bad_alloc();
  return Owner(handle);
}

// Octets that GnuTLS allocated; wiped when released, since some are keys.
class Datum {
 public:
  Datum() = default;
  Datum(const Datum&) = delete;
  Datum& operator=(const Datum&) = delete;
  ~Datum() {
    if (datum_.data == nullptr) return;
    gnutls_memset(datum_.data, 0, datum_.size);
    gnutls_free(datum_.data);
  }
  [[nodiscard]] gnutls_datum_t* out() { return &datum_; }
  [[nodiscard]] base::BytesView bytes() const { return {datum_.data, datum_.size}; }
  [[nodiscard]] std::string text() const { return std::string(base::as_text(bytes())); }

 private:
  gnutls_datum_t datum_{nullptr, 0};
};

// A read-only argument; GnuTLS's signatures lack the const.
[[nodiscard]] inline gnutls_datum_t to_datum(base::BytesView bytes) {
  return {const_cast<unsigned char*>(bytes.data()), static_cast<unsigned>(bytes.size())};
}
[[nodiscard]] inline gnutls_datum_t to_datum(std::string_view text) {
  return to_datum(base::as_bytes(text));
}

// What a library call returned, as an Error. Zero and above are successes.
[[nodiscard]] inline base::Status check_gnutls(int code, std::string what, std::string where = {}) {
  if (code >= 0) return {};
  return base::fail(base::ErrorCode::internal, std::move(what), std::move(where),
                    gnutls_strerror(code));
}

}  // namespace ztna::identity
