#include "troupe/actors/messages.hpp"

namespace troupe::actors {

Error error_from(const caf::error& error, const Error& fallback) {
  // An actor that just quits leaves no error at all, which has no category either.
  if (error && error.category() == caf::atom("troupe") && error.context().match_elements<Error>()) {
    return error.context().get_as<Error>(0);
  }
  return fallback;
}

}  // namespace troupe::actors
