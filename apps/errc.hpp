#pragma once

#include <cstdint>
#include <string_view>

#include "troupe/runtime/error.hpp"

namespace troupe::apps {

/// What the command itself can find wrong (range 4000–4999); errors of a run keep their own code.
enum class Errc : std::int32_t {
  cannot_read = 4001,      ///< a file that is not there, or may not be read
  cannot_write = 4002,     ///< a file or folder that cannot be made
  bad_file = 4003,         ///< a file that is not what it should be; the message says where
  unknown_program = 4004,  ///< neither a built-in example nor a shared object with that program
  bad_parameter = 4005,    ///< a --param that the program does not have, or with a value that does not parse
  wrong_result = 4006,     ///< a program ran, and its own check of the result failed
  unknown_task = 4007,     ///< a name that no task of a trace has
};

inline std::string_view error_name(Errc code) {
  switch (code) {
    case Errc::cannot_read:
      return "cannot_read";
    case Errc::cannot_write:
      return "cannot_write";
    case Errc::bad_file:
      return "bad_file";
    case Errc::unknown_program:
      return "unknown_program";
    case Errc::bad_parameter:
      return "bad_parameter";
    case Errc::wrong_result:
      return "wrong_result";
    case Errc::unknown_task:
      return "unknown_task";
  }
  return "unknown";
}

}  // namespace troupe::apps
