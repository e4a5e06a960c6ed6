#pragma once

// Modules: the callables of a shared library or of the running program. A Module is a shared handle to
// immutable data, usable from any thread. Files stay loaded for the life of the process, so what a Module
// gives out is valid for ever. open() loads code that must be trusted: its constructors run. It may be called
// from any thread.
// Errors are Results that name the file: module_unreadable, module_symbol_missing, module_version,
// module_malformed, digest_unavailable; find(): callable_not_found. Only this_module() throws.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/runtime/digest.hpp"
#include "troupe/runtime/errc.hpp"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/module_abi.h"
#include "troupe/runtime/module_macros.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::runtime {

/// One callable of a module: a borrowed look at its descriptor plus its identity. Valid for the life of the
/// process (module files stay loaded).
struct Callable {
  const troupe_callable_v1* descriptor = nullptr;
  Digest digest;

  CallableKind kind() const noexcept { return static_cast<CallableKind>(descriptor->kind); }
  std::string_view name() const noexcept { return descriptor->name; }
  std::string_view signature() const noexcept { return descriptor->signature; }
};

[[nodiscard]] TROUPE_API std::string_view name_of(CallableKind kind) noexcept;

/// A validated module: every descriptor has been looked at before anything is called. A cheap shared handle,
/// immutable, usable from any thread. Reading a module registers nothing anywhere; its callables are known
/// only to the code that loaded it.
class TROUPE_API Module {
 public:
  /// Loads the file privately (RTLD_LOCAL, all symbols resolved) and for good: functions of a program module
  /// may be on any stack, so it is never unloaded. A file that was replaced since this process loaded it is
  /// refused: the dynamic linker would answer with the old one. Errors name the file and the defect.
  [[nodiscard]] static Result<Module> open(const std::string& file);
  /// From a module structure that is already in memory; `origin` is its name in errors.
  [[nodiscard]] static Result<Module> from(const troupe_module_v1* module, std::string origin);

  std::string_view name() const noexcept;
  /// The file it came from, or the `origin` it was given.
  std::string_view origin() const noexcept;
  const std::vector<Callable>& callables() const noexcept;
  /// The structure itself, to be handed on across a C border.
  const troupe_module_v1* raw() const noexcept;
  /// What else its file exports; null when it does not, or when the module came from no file.
  const void* symbol(const std::string& name) const noexcept;
  /// By name; with kind when two kinds share a name. `callable_not_found` lists what there is.
  [[nodiscard]] Result<Callable> find(std::string_view name) const;
  [[nodiscard]] Result<Callable> find(CallableKind kind, std::string_view name) const;

 private:
  struct State;
  explicit Module(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;
};

/// Checks a module structure, without identities: magic, version, sizes, names, kinds, duplicates.
[[nodiscard]] TROUPE_API Result<void> validate(const troupe_module_v1* module, std::string_view origin);
/// Whether some kernel of a valid module calls `wait`: true, too, for a module that does not tell.
[[nodiscard]] TROUPE_API bool has_waits(const troupe_module_v1& module) noexcept;

}  // namespace troupe::runtime

extern "C" {
/// Defined by TROUPE_MODULE in the same binary. An undefined reference to it says: this program asks for its
/// own module and has no TROUPE_MODULE("name") line.
extern const troupe_module_v1 troupe_this_module __attribute__((visibility("hidden")));
}

namespace troupe::runtime {

/// The module of the binary that contains the call: the program itself, or the library. Throws when a
/// descriptor is malformed.
__attribute__((visibility("hidden"))) inline Module this_module() {
  return Module::from(&troupe_this_module, "this program").value();
}

}  // namespace troupe::runtime
