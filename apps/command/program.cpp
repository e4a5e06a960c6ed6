#include "command/program.hpp"

#include "command/parameters.hpp"
#include "errc.hpp"
#include "troupe/actors/parameters.hpp"
#include "troupe/runtime/spelling.hpp"

namespace troupe::apps {
namespace {

using runtime::CallableKind;

Error unknown(const std::string& what, const std::string& hint) {
  return {Errc::unknown_program, what, hint};
}

std::string listed(const std::vector<std::string>& names) {
  std::string list;
  for (const auto& name : names) list += (list.empty() ? "" : ", ") + name;
  return list;
}

/// The names of a module's programs, for hints to who wrote `name`.
std::string programs_of(const runtime::Module& module, const std::string& name) {
  std::vector<std::string> names;
  for (const auto& callable : module.callables()) {
    if (callable.kind() == CallableKind::program) names.emplace_back(callable.name());
  }
  if (names.empty()) return "it has no programs; TROUPE_PROGRAM(f) makes one of a function";
  return runtime::did_you_mean(name, names) + "its programs are: " + listed(names);
}

Result<runtime::Callable> find_in(const runtime::Module& module, const std::string& file,
                                  const std::string& name) {
  const runtime::Callable* only = nullptr;
  for (const auto& callable : module.callables()) {
    if (callable.kind() != CallableKind::program) continue;
    if (callable.name() == name) return callable;
    if (!name.empty()) continue;
    if (only != nullptr)
      return unknown("\"" + file + "\" has several programs", programs_of(module, name) + "; say FILE:NAME");
    only = &callable;
  }
  if (only != nullptr) return *only;
  return unknown("there is no program" + (name.empty() ? "" : " \"" + name + "\"") + " in \"" + file + "\"",
                 programs_of(module, name));
}

Result<ProgramChoice> built_in_program(const std::string& name, const runtime::Module& built_in) {
  const Example* example = find_example(name);
  if (example == nullptr) {
    std::vector<std::string> names;
    for (const Example& one : examples()) names.emplace_back(one.name);
    return unknown("there is no built-in program \"" + name + "\"",
                   runtime::did_you_mean(name, names) + "there are: " + listed(names) +
                       "; a program of your own is named by its file: ./mine.so");
  }
  auto callable = built_in.find(CallableKind::program, example->name);
  if (!callable) return callable.error();
  return ProgramChoice{built_in, *callable, example, example->parameters, {}};
}

}  // namespace

Result<std::vector<Parameter>> parameters_of(const runtime::Module& module,
                                             const runtime::Callable& program) {
  const auto* table = static_cast<const actors::ParameterTable*>(
      module.symbol("troupe_parameters_" + std::string(program.name())));
  std::vector<Parameter> parameters;
  if (table == nullptr) return parameters;
  const auto wrong = [&](const std::string& why) {
    return Error(Errc::bad_file, "the TROUPE_PARAMETERS of \"" + std::string(program.name()) + "\" " + why,
                 "build the module again");
  };
  if (table->size != sizeof *table) return wrong("were built against other headers");
  for (std::uint32_t i = 0; i < table->count; ++i) {
    const auto& text = table->parameters[i];
    if (text.name == nullptr) return wrong("have one without a name");
    Parameter& parameter = parameters.emplace_back();
    parameter.name = text.name;
    if (text.value != nullptr) parameter.value = text.value;
    if (text.meaning != nullptr) parameter.meaning = text.meaning;
  }
  const std::size_t wanted = types_of(program.signature()).size();
  if (parameters.size() != wanted) {
    return wrong("name " + std::to_string(parameters.size()) + ", but it takes " + std::to_string(wanted));
  }
  return parameters;
}

std::string module_path(const std::string& file) {
  // A bare file name is a file here, not something to search the system for.
  return file.find('/') == std::string::npos ? "./" + file : file;
}

Result<ProgramChoice> find_program(const std::string& text, const runtime::Module& built_in) {
  const auto suffix = text.rfind(".so");
  const bool names_file = text.find('/') != std::string::npos || suffix != std::string::npos;
  if (!names_file) return built_in_program(text, built_in);
  const auto colon = text.find(':', suffix == std::string::npos ? 0 : suffix);
  const std::string file = module_path(text.substr(0, colon));
  const std::string name = colon == std::string::npos ? "" : text.substr(colon + 1);
  auto module = runtime::Module::open(file);
  if (!module) return module.error();
  auto callable = find_in(*module, file, name);
  if (!callable) return callable.error();
  auto parameters = parameters_of(*module, *callable);
  if (!parameters) return parameters.error();
  return ProgramChoice{*std::move(module), *callable, nullptr, *std::move(parameters), {}};
}

Result<ProgramChoice> choose_program(const std::string& text, const runtime::Module& built_in,
                                     const std::vector<std::string>& given) {
  auto choice = find_program(text, built_in);
  if (!choice) return choice;
  auto scalars =
      bind_parameters(choice->callable.name(), choice->callable.signature(), choice->parameters, given);
  if (!scalars) return scalars.error();
  choice->scalars = *std::move(scalars);
  return choice;
}

}  // namespace troupe::apps
