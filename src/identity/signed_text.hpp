// Texts that a node signed with the key of its certificate, and who vouches for it. For statements
// that are read later and elsewhere, by people who were no party to any handshake.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "identity/principal.hpp"

namespace ztna::identity {

struct SignedText {
  std::string text;
  base::Bytes signature;    // over prefix, a zero octet and the text
  base::Bytes certificate;  // the signer's leaf, DER
};

// Did the certificate's key sign this text under this prefix? Says nothing about whose it is.
[[nodiscard]] base::Status check_signature(const SignedText& what, std::string_view prefix);

// CA certificates, for people who have nothing but these.
class Roots {
 public:
  // PEM; `where` (a path, usually) appears in errors.
  [[nodiscard]] static base::Result<Roots> load(std::string_view pem, std::string where);
  ~Roots();
  Roots(Roots&&) noexcept;
  Roots& operator=(Roots&&) noexcept;

  // Whose certificate this is, if one of these CAs issued it and it was valid at `at`.
  [[nodiscard]] base::Result<Principal> identify(base::BytesView certificate,
                                                 base::WallTime at) const;

 private:
  struct Impl;
  explicit Roots(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ztna::identity
