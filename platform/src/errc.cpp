#include "troupe/platform/errc.hpp"

namespace troupe::platform {

std::string_view error_name(Errc code) noexcept {
  switch (code) {
    case Errc::invalid_argument:
      return "invalid_argument";
    case Errc::invalid_state:
      return "invalid_state";
    case Errc::bad_address:
      return "bad_address";
    case Errc::out_of_range:
      return "out_of_range";
    case Errc::double_free:
      return "double_free";
    case Errc::unknown_callable:
      return "unknown_callable";
    case Errc::already_registered:
      return "already_registered";
    case Errc::bad_callable:
      return "bad_callable";
    case Errc::bad_task_arguments:
      return "bad_task_arguments";
    case Errc::no_such_device:
      return "no_such_device";
    case Errc::unknown_window:
      return "unknown_window";
    case Errc::bad_window:
      return "bad_window";
    case Errc::unknown_option:
      return "unknown_option";
    case Errc::reentrant_call:
      return "reentrant_call";
    case Errc::out_of_memory:
      return "out_of_memory";
    case Errc::queue_full:
      return "queue_full";
    case Errc::capacity_exceeded:
      return "capacity_exceeded";
    case Errc::unsupported:
      return "unsupported";
    case Errc::kernel_failed:
      return "kernel_failed";
    case Errc::poisoned:
      return "poisoned";
    case Errc::aborted:
      return "aborted";
    case Errc::deadlock:
      return "deadlock";
    case Errc::lost:
      return "lost";
    case Errc::deadline_exceeded:
      return "deadline_exceeded";
    case Errc::busy:
      return "busy";
    case Errc::finalized:
      return "finalized";
    case Errc::quarantined:
      return "quarantined";
    case Errc::load_failed:
      return "load_failed";
    case Errc::missing_symbol:
      return "missing_symbol";
    case Errc::version_mismatch:
      return "version_mismatch";
    case Errc::internal:
      return "internal";
    case Errc::system:
      return "system";
  }
  return "unknown_platform_code";
}

}  // namespace troupe::platform
