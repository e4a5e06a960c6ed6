#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "troupe/runtime/digest.hpp"

namespace troupe::runtime {

/// A library or the program itself, as the dynamic linker mapped it.
struct LoadedObject {
  std::uintptr_t base = 0;
  std::string path;                     ///< of its file; the program's own is /proc/self/exe
  std::span<const std::byte> build_id;  ///< inside the mapping; empty when it has none
};

/// The object that holds an address; nothing when none does.
std::optional<LoadedObject> loaded_object_at(const void* address);

/// What stands for the object's code in the digests of its functions: its build-id, or the hash of its file.
Result<Digest> identity_of(const LoadedObject& object);

/// The digest of a function at `address` in an object whose identity is known.
Digest digest_in(const CallableName& callable, const LoadedObject& object, const Digest& identity,
                 const void* address);

}  // namespace troupe::runtime
