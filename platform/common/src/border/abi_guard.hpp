#pragma once

#include <utility>

#include "border/context.hpp"

namespace troupe::platform::common {

/// The border that every exported function is wrapped in: checks the handle, keeps exceptions in, remembers
/// the error, answers a code.
template <class Body>
std::int32_t guarded(troupe_device_context* context, const char* function, Body body) noexcept {
  if (context == nullptr) return TROUPE_DEVICE_INVALID_ARGUMENT;
  try {
    Result<void> done = context->check_reentry();
    if (done) done = body();
    if (done) return TROUPE_DEVICE_OK;
    Outcome failure(done.error());
    failure.message.insert(0, std::string(function) + ": ");
    return context->note(failure);
  } catch (...) {
    return context->note_thrown(function);
  }
}

/// The same for functions that need a chip: body(Chip&).
template <class Body>
std::int32_t on_device(troupe_device_context* context, const char* function, Body body) noexcept {
  return guarded(context, function, [&]() -> Result<void> {
    auto chip = context->chip();
    if (!chip) return chip.error();
    return body(**chip);
  });
}

inline Error null_argument(const char* name) {
  return Error(Errc::invalid_argument, std::string(name) + " is null");
}

}  // namespace troupe::platform::common
