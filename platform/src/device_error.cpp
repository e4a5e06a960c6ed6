#include <utility>

#include "troupe/comm/errc.hpp"
#include "troupe/platform/device_context.hpp"
#include "troupe/runtime/errc.hpp"

namespace troupe::platform {

Error device_error(std::int32_t code, std::string message, std::string hint) {
  std::string_view name;
  if (code >= 2000 && code < 3000) {
    name = error_name(static_cast<Errc>(code));
  } else if (code >= 1000 && code < 2000) {
    name = comm::error_name(static_cast<comm::Errc>(code));
  } else if (code > 0 && code < 1000) {
    name = runtime::error_name(static_cast<runtime::Errc>(code));
  } else {
    name = "unknown_platform_code";
  }
  return Error{ErrorCode{code, name}, std::move(message), std::move(hint)};
}

}  // namespace troupe::platform
