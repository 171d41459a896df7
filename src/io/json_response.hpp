// What a handler answers with that has JSON to say.
#pragma once

#include "io/http_server.hpp"

namespace ztna::io {

// One line. Octets that are not UTF-8 are replaced. `Json`: nlohmann's, ordered or not.
template <class Json>
[[nodiscard]] HttpResponse json_response(const Json& json) {
  return {200, "application/json",
          json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"};
}

}  // namespace ztna::io
