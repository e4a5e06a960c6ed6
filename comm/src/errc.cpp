#include "troupe/comm/errc.hpp"

namespace troupe::comm {

std::string_view error_name(Errc code) noexcept {
  switch (code) {
    case Errc::bad_argument:
      return "bad_argument";
    case Errc::bad_rank:
      return "bad_rank";
    case Errc::out_of_bounds:
      return "out_of_bounds";
    case Errc::misaligned:
      return "misaligned";
    case Errc::too_large:
      return "too_large";
    case Errc::no_memory:
      return "no_memory";
    case Errc::wrong_state:
      return "wrong_state";
    case Errc::already_live:
      return "already_live";
    case Errc::mismatch:
      return "mismatch";
    case Errc::stale:
      return "stale";
    case Errc::foreign_peer:
      return "foreign_peer";
    case Errc::bad_blob:
      return "bad_blob";
    case Errc::peer_lost:
      return "peer_lost";
    case Errc::aborted:
      return "aborted";
    case Errc::deadline:
      return "deadline";
    case Errc::system:
      return "system";
    case Errc::unsupported:
      return "unsupported";
    case Errc::bad_config:
      return "bad_config";
    case Errc::name_taken:
      return "name_taken";
    case Errc::not_found:
      return "not_found";
    case Errc::chip_failed:
      return "chip_failed";
  }
  return "unknown";
}

}  // namespace troupe::comm
