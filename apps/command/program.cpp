#include "command/program.hpp"

#include <filesystem>

#include "command/parameters.hpp"
#include "errc.hpp"

namespace troupe::apps {
namespace {

using runtime::CallableKind;

Error unknown(const std::string& what, const std::string& hint) {
  return {Errc::unknown_program, what, hint};
}

/// The names of a module's programs, for hints.
std::string programs_of(const runtime::Module& module) {
  std::string names;
  for (const auto& callable : module.callables()) {
    if (callable.kind() == CallableKind::program) {
      names += (names.empty() ? "" : ", ") + std::string(callable.name());
    }
  }
  return names.empty() ? "it has no programs" : "its programs are: " + names;
}

Result<runtime::Callable> find_in(const runtime::Module& module, const std::string& file,
                                  const std::string& name) {
  const runtime::Callable* only = nullptr;
  for (const auto& callable : module.callables()) {
    if (callable.kind() != CallableKind::program) continue;
    if (callable.name() == name) return callable;
    if (!name.empty()) continue;
    if (only != nullptr)
      return unknown("\"" + file + "\" has several programs", programs_of(module) + "; say FILE:NAME");
    only = &callable;
  }
  if (only != nullptr) return *only;
  return unknown("there is no program" + (name.empty() ? "" : " \"" + name + "\"") + " in \"" + file + "\"",
                 programs_of(module));
}

}  // namespace

Result<ProgramChoice> choose_program(const std::string& text, const runtime::Module& built_in,
                                     const std::vector<std::string>& parameters) {
  const auto suffix = text.rfind(".so");
  const bool names_file = text.find('/') != std::string::npos || suffix != std::string::npos;
  if (!names_file) {
    const Example* example = find_example(text);
    if (example == nullptr) {
      return unknown("there is no built-in program \"" + text + "\"",
                     "`troupe list` shows them; a program of your own is named by its file: ./mine.so");
    }
    auto callable = built_in.find(CallableKind::program, example->name);
    if (!callable) return callable.error();
    auto scalars = bind_parameters(text, callable->signature(), example->parameters, parameters);
    if (!scalars) return scalars.error();
    return ProgramChoice{built_in, *callable, example, *std::move(scalars)};
  }
  const auto colon = text.find(':', suffix == std::string::npos ? 0 : suffix);
  const std::string file = text.substr(0, colon);
  const std::string name = colon == std::string::npos ? "" : text.substr(colon + 1);
  // A bare file name is a file here, not something to search the system for.
  auto module = runtime::Module::open(std::filesystem::absolute(file));
  if (!module) return module.error();
  auto callable = find_in(*module, file, name);
  if (!callable) return callable.error();
  auto scalars = bind_parameters(callable->name(), callable->signature(), {}, parameters);
  if (!scalars) return scalars.error();
  return ProgramChoice{*std::move(module), *callable, nullptr, *std::move(scalars)};
}

}  // namespace troupe::apps
