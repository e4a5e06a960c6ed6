#pragma once

// Names for the parameters of a program, for the command line. Constant data of the module that defines it,
// read by `troupe`; no code, no thread. A table that does not fit the program's signature is an error of the
// command, when it looks at it.

#include <cstdint>

/// Names for the parameters of a program, so that a person can start it from the command line:
///
///   void train(Orchestrator& node, std::uint32_t steps, float rate) { … }
///   TROUPE_PROGRAM(train);
///   TROUPE_PARAMETERS(train, {"steps", "100", "of gradient descent"}, {"rate", nullptr, "of learning"});
///
/// `troupe list FILE.so` shows them, `troupe run FILE.so:train --param rate=0.1` uses them. Programs call
/// each other by position; for them nothing changes, and a program without names is started by position too.
namespace troupe::actors {

/// One parameter. The texts are constants of the module.
struct ParameterText {
  const char* name;
  const char* value;    ///< its default as it would be given behind `name=`; null: it has to be given
  const char* meaning;  ///< a few words
};

/// The table that the macro exports under the name `troupe_parameters_PROGRAM`. The size tells a table of
/// another version.
struct ParameterTable {
  std::uint32_t size;
  std::uint32_t count;
  const ParameterText* parameters;
};

}  // namespace troupe::actors

/// Next to TROUPE_PROGRAM(program), in the order of the parameters behind the orchestrator, all of them.
#define TROUPE_PARAMETERS(program, ...)                                                            \
  static constexpr ::troupe::actors::ParameterText troupe_texts_##program[] = {__VA_ARGS__};       \
  extern "C" {                                                                                     \
  extern const ::troupe::actors::ParameterTable troupe_parameters_##program                        \
      __attribute__((visibility("default")));                                                      \
  const ::troupe::actors::ParameterTable troupe_parameters_##program = {                           \
      sizeof(::troupe::actors::ParameterTable),                                                    \
      sizeof(troupe_texts_##program) / sizeof(troupe_texts_##program[0]), troupe_texts_##program}; \
  }                                                                                                \
  static_assert(true, "takes a semicolon")
