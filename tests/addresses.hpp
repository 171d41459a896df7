// Addresses as tests write them.
#pragma once

#include <string_view>

#include "base/address.hpp"

namespace ztna {

// "ADDR:PORT" or "[ADDR]:PORT".
inline base::Address at(std::string_view text) { return base::Address::parse(text).value(); }

}  // namespace ztna
