#include "callable_registry.hpp"

#include "troupe/actors/arguments.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/runtime/spelling.hpp"

namespace troupe::actors {
namespace {

/// A program of a module, bound by its descriptor.
ProgramFactory program_of(const troupe_callable_v1* descriptor) {
  return [descriptor](const Arguments& args) {
    BoundProgram bound;
    char text[512] = {};
    troupe_program_call_v1 call{};
    call.size = sizeof call;
    call.orchestrator = &bound;
    call.arguments = const_cast<Arguments*>(&args);  // NOLINT: read only on the other side, the ABI is C
    call.error_text = text;
    call.error_text_size = sizeof text;
    if (descriptor->invoke.program(&call) != TROUPE_DONE) {
      throw Error(Errc::bad_argument, "program \"" + std::string(descriptor->name) + "\": " + text);
    }
    bound.name = descriptor->name;
    return bound;
  };
}

CallableKind kind_of(runtime::CallableKind kind) {
  switch (kind) {
    case runtime::CallableKind::host_function:
      return CallableKind::function;
    case runtime::CallableKind::program:
      return CallableKind::program;
    default:
      return CallableKind::chip;
  }
}

}  // namespace

Result<const Callable*> CallableRegistry::add(CallableRef callable) {
  // Hashed here, on the thread that adds it, and not by the first chip that needs it.
  if (callable->kind == CallableKind::chip) (void)callable->digest();
  std::lock_guard guard(mutex_);
  auto [known, added] = by_name_.emplace(callable->name, callable);
  if (!added && known->second->descriptor != callable->descriptor) {
    return Error(Errc::bad_argument, "\"" + callable->name + "\" is already the name of another callable",
                 "give one of them another name");
  }
  if (!added && callable->descriptor == nullptr) {
    return Error(Errc::bad_argument, "\"" + callable->name + "\" is already registered");
  }
  if (added && callable->kind == CallableKind::chip) {
    for_chips_.push_back(callable.get());
    on_chips_.store(for_chips_.size(), std::memory_order_release);
  }
  return known->second.get();
}

Result<void> CallableRegistry::load(const runtime::Module& module) {
  {
    std::lock_guard guard(mutex_);
    modules_.push_back(module);
  }
  for (const auto& found : module.callables()) {
    auto callable = std::make_shared<Callable>();
    callable->name = found.name();
    callable->kind = kind_of(found.kind());
    callable->descriptor = found.descriptor;
    callable->module = module.raw();
    callable->identity.set(found.digest);
    if (callable->kind == CallableKind::program) callable->program = program_of(found.descriptor);
    if (auto added = add(std::move(callable)); !added) return added.error();
  }
  return {};
}

Result<const Callable*> CallableRegistry::find(std::string_view name) const {
  std::lock_guard guard(mutex_);
  if (auto known = by_name_.find(name); known != by_name_.end()) return known->second.get();
  std::vector<std::string> names;
  for (const auto& [known, callable] : by_name_) names.push_back(known);
  std::string hint = names.empty() ? "nothing is loaded; load a module first"
                                   : runtime::did_you_mean(name, names) + "loaded are: ";
  for (std::size_t i = 0; const auto& known : names) {
    if (i++ == 12) {
      hint += ", …";
      break;
    }
    hint += (i > 1 ? ", " : "") + known;
  }
  return Error(Errc::unknown_callable, "nothing is called \"" + std::string(name) + "\"", std::move(hint));
}

std::vector<const Callable*> CallableRegistry::on_chips_from(std::size_t first) const {
  std::lock_guard guard(mutex_);
  if (first >= for_chips_.size()) return {};
  return {for_chips_.begin() + static_cast<std::ptrdiff_t>(first), for_chips_.end()};
}

std::vector<std::string> CallableRegistry::names() const {
  std::lock_guard guard(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, callable] : by_name_) names.push_back(name);
  return names;
}

}  // namespace troupe::actors
