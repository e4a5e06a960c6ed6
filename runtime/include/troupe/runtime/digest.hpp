#pragma once

// SHA-256 identities of callables. A Digest is a plain value, the functions may be called from any thread, a
// Hasher has one user at a time. Files are read during the call only.
// Errors: digest_unavailable, as a Result where a file or an object is asked for; thrown by the others when
// OpenSSL itself fails (no memory, or no provider for SHA-256).

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::runtime {

/// The identity of a callable: SHA-256. Two processes that hold the same code under the same name agree on
/// it, whatever path they loaded it from. Default: all zero, which identifies nothing.
struct Digest {
  std::array<std::uint8_t, 32> bytes{};

  bool empty() const noexcept { return *this == Digest{}; }
  friend auto operator<=>(const Digest&, const Digest&) noexcept = default;
};

struct DigestHash {
  std::size_t operator()(const Digest& digest) const noexcept {
    std::size_t value = 0;
    std::memcpy(&value, digest.bytes.data(), sizeof value);
    return value;
  }
};

/// 64 lower-case hex digits.
[[nodiscard]] TROUPE_API std::string to_string(const Digest& digest);
/// The first 12 digits: enough for people.
[[nodiscard]] TROUPE_API std::string short_string(const Digest& digest);

/// SHA-256 of bytes, in pieces. Each piece added with `field` is preceded by its length, so that
/// ("ab", "c") and ("a", "bc") differ.
class TROUPE_API Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&& other) noexcept;
  Hasher& operator=(Hasher&& other) noexcept;

  Hasher& raw(std::span<const std::byte> bytes);
  Hasher& field(std::span<const std::byte> bytes);
  Hasher& field(std::string_view text) { return field(std::as_bytes(std::span(text.data(), text.size()))); }
  Hasher& field(std::uint64_t number);
  /// Ends the hash; the hasher may only be destroyed or assigned to afterwards.
  [[nodiscard]] Digest finish();

 private:
  void* context_;
};

[[nodiscard]] TROUPE_API Digest sha256(std::span<const std::byte> bytes);
[[nodiscard]] TROUPE_API Result<Digest> sha256_of_file(const std::string& path);

/// Everything that identifies a callable, apart from its code.
struct CallableName {
  std::uint32_t kind = 0;
  std::string_view name;
  std::string_view signature;
};

/// Of a callable whose code is the bytes of an object file.
[[nodiscard]] TROUPE_API Digest digest_of(const CallableName& callable, std::span<const std::byte> elf);
/// Of a callable in a file that was hashed once with sha256_of_file.
[[nodiscard]] TROUPE_API Digest digest_of(const CallableName& callable, const Digest& file);
/// Of a function of the running program or of a library it loaded: the build-id of the object that holds
/// `function` (or, lacking one, the hash of its file) and the function's offset in it. `digest_unavailable`
/// when no loaded object holds the address or its file cannot be read.
[[nodiscard]] TROUPE_API Result<Digest> digest_of(const CallableName& callable, const void* function);

/// Of the loaded object that holds `address`, as it was loaded: its build-id (or, lacking one, the hash of
/// its file). The same in every process that loaded the same file. Errors as above.
[[nodiscard]] TROUPE_API Result<Digest> object_identity(const void* address);

/// The GNU build-id note of the loaded object that holds `address`; empty when it has none.
[[nodiscard]] TROUPE_API std::span<const std::byte> build_id_of(const void* address);

}  // namespace troupe::runtime
