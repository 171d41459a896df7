#include "tool/context.hpp"

#include <ostream>

#include "logging/format.hpp"

namespace ztna::tool {

void conclude(Context& context, std::string_view command, const base::Status& done) {
  if (done) return;
  context.err << command << ": " << logging::escaped(done.error().message()) << "\n";
  context.exit_code = done.error().code == base::ErrorCode::invalid_argument ? 2 : 1;
}

}  // namespace ztna::tool
