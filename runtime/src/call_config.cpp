#include "troupe/runtime/call_config.hpp"

#include <string_view>

#include "text.hpp"

namespace troupe::runtime {
namespace {

Result<void> check(std::string_view field, std::int32_t value, std::int32_t limit) {
  if (value >= 1 && value <= limit) return {};
  return Error(Errc::invalid_call_config, text(field, " is ", value), text("it must be 1 to ", limit));
}

}  // namespace

Result<void> validate(const CallConfig& config, const CallConfigLimits& limits) {
  if (auto ok = check("block_dim", config.block_dim, limits.block_dim); !ok) return ok;
  if (auto ok = check("aicpu_thread_num", config.aicpu_thread_num, limits.aicpu_thread_num); !ok) return ok;
  if (config.reserved[0] != 0 || config.reserved[1] != 0) {
    return Error(Errc::invalid_call_config, "the reserved bytes of a call configuration are not zero");
  }
  return {};
}

}  // namespace troupe::runtime
