#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "troupe/runtime/result.hpp"

namespace troupe::platform::common {

/// A shared library loaded from bytes. Each load is a copy of its own: its globals are shared with no other
/// load, not even those that the compiler made unique in the process (inline variables, statics of inline
/// functions and templates). It is unloaded with this object; one with thread-local objects that have
/// destructors stays mapped until the threads that ran it have ended, and is never mistaken for another.
/// Nothing is written to the file system, no descriptor is kept.
class HostObject {
 public:
  /// Whether functions that nothing defines are an error of the load, or of the call that misses them (which
  /// ends the process).
  enum class Missing : bool { refused, allowed };
  /// `name` is for debuggers. The error says why not; who wants to load it says what it was to be.
  static Result<HostObject> load(std::string_view name, std::span<const std::byte> object,
                                 Missing functions = Missing::refused);
  /// Null: it exports none of that name.
  void* symbol(const char* name) const noexcept;

 private:
  struct Unload {
    void operator()(void* library) const noexcept;
  };
  explicit HostObject(void* library) : library_(library) {}
  std::unique_ptr<void, Unload> library_;
};

}  // namespace troupe::platform::common
