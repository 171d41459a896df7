// Making the signatures of signed_text.hpp. For the .cpp files of this folder: it shows GnuTLS.
#pragma once

#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "identity/gnutls_handle.hpp"

namespace ztna::identity {

[[nodiscard]] base::Result<base::Bytes> make_signature(gnutls_x509_privkey_t key,
                                                       std::string_view prefix,
                                                       std::string_view text);

}  // namespace ztna::identity
