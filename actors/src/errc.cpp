#include "troupe/actors/errc.hpp"

namespace troupe::actors {

std::string_view error_name(Errc code) {
  switch (code) {
    case Errc::task_failed:
      return "task_failed";
    case Errc::poisoned:
      return "poisoned";
    case Errc::cancelled:
      return "cancelled";
    case Errc::deadline_exceeded:
      return "deadline_exceeded";
    case Errc::function_failed:
      return "function_failed";
    case Errc::deadlock:
      return "deadlock";
    case Errc::chip_lost:
      return "chip_lost";
    case Errc::data_lost:
      return "data_lost";
    case Errc::chip_retired:
      return "chip_retired";
    case Errc::node_failed:
      return "node_failed";
    case Errc::bootstrap_failed:
      return "bootstrap_failed";
    case Errc::shut_down:
      return "shut_down";
    case Errc::bad_argument:
      return "bad_argument";
    case Errc::unknown_callable:
      return "unknown_callable";
    case Errc::no_such_chip:
      return "no_such_chip";
    case Errc::group_too_large:
      return "group_too_large";
    case Errc::retry_refused:
      return "retry_refused";
    case Errc::blocking_in_coroutine:
      return "blocking_in_coroutine";
    case Errc::submit_overrun:
      return "submit_overrun";
    case Errc::wrong_state:
      return "wrong_state";
    case Errc::wrong_program:
      return "wrong_program";
    case Errc::out_of_memory:
      return "out_of_memory";
    case Errc::out_of_threads:
      return "out_of_threads";
    case Errc::cannot_read:
      return "cannot_read";
    case Errc::cannot_write:
      return "cannot_write";
  }
  return "unknown";
}

}  // namespace troupe::actors
