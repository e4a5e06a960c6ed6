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

/// The build-id in the bytes of an object without defect; empty when it has none.
std::span<const std::byte> build_id_in(std::span<const std::byte> file);

/// Keeps in mind, for the life of the process, the hash of the file that an object was loaded from. For
/// objects that are never unloaded; the first one told of an object stays. Thread-safe, as remembered_file
/// is.
void remember_file(std::uintptr_t base, const Digest& file);
/// Nothing: nobody said.
std::optional<Digest> remembered_file(std::uintptr_t base);

/// The digest of a function at `address` in an object whose identity is known.
Digest digest_in(const CallableName& callable, const LoadedObject& object, const Digest& identity,
                 const void* address);

}  // namespace troupe::runtime
