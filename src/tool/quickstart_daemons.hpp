// The command lines of a quickstart's processes. Pure.
#pragma once

#include <string>
#include <vector>

#include "config/options.hpp"
#include "tool/process.hpp"
#include "tool/quickstart_folder.hpp"

namespace ztna::tool {

// Names of the processes, of their logs and of their control sockets.
inline constexpr const char* page_process = "page";
inline constexpr const char* intermediate_process = "intermediate";
inline constexpr const char* connector_process = "connector";
inline constexpr const char* agent_process = "agent";

[[nodiscard]] ProcessPlan plan_page(const QuickstartFolder& folder, const std::string& self,
                                    const std::string& marker);
[[nodiscard]] ProcessPlan plan_intermediate(const QuickstartFolder& folder,
                                            const std::string& programs);
// `intermediate` is its address.
[[nodiscard]] ProcessPlan plan_connector(const QuickstartFolder& folder,
                                         const std::string& programs,
                                         const std::string& intermediate,
                                         const std::vector<config::Service>& services);
[[nodiscard]] ProcessPlan plan_agent(const QuickstartFolder& folder, const std::string& programs,
                                     const std::string& intermediate,
                                     const std::vector<config::Service>& services);

}  // namespace ztna::tool
