#include "troupe/runtime/digest.hpp"

#include <openssl/evp.h>

#include <fstream>
#include <utility>
#include <vector>

#include "loaded_object.hpp"
#include "text.hpp"
#include "troupe/runtime/errc.hpp"

namespace troupe::runtime {
namespace {

EVP_MD_CTX* md(void* context) { return static_cast<EVP_MD_CTX*>(context); }

/// OpenSSL fails here only for want of memory or of its default provider; neither has a better answer.
void must(bool ok) {
  if (!ok) throw Error(Errc::digest_unavailable, "OpenSSL cannot compute SHA-256");
}

Hasher named(const CallableName& callable, std::string_view form) {
  Hasher hasher;
  hasher.field(form).field(callable.kind).field(callable.name).field(callable.signature);
  return hasher;
}

}  // namespace

std::string to_string(const Digest& digest) {
  constexpr char digits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(digest.bytes.size() * 2);
  for (const std::uint8_t byte : digest.bytes) {
    hex += digits[byte >> 4U];
    hex += digits[byte & 15U];
  }
  return hex;
}

std::string short_string(const Digest& digest) { return to_string(digest).substr(0, 12); }

Hasher::Hasher() : context_(EVP_MD_CTX_new()) {
  must(context_ != nullptr);
  if (EVP_DigestInit_ex(md(context_), EVP_sha256(), nullptr) != 1) {
    EVP_MD_CTX_free(md(context_));
    must(false);
  }
}

Hasher::~Hasher() { EVP_MD_CTX_free(md(context_)); }

Hasher::Hasher(Hasher&& other) noexcept : context_(std::exchange(other.context_, nullptr)) {}

Hasher& Hasher::operator=(Hasher&& other) noexcept {
  std::swap(context_, other.context_);
  return *this;
}

Hasher& Hasher::raw(std::span<const std::byte> bytes) {
  must(EVP_DigestUpdate(md(context_), bytes.data(), bytes.size()) == 1);
  return *this;
}

Hasher& Hasher::field(std::span<const std::byte> bytes) { return field(bytes.size()).raw(bytes); }

Hasher& Hasher::field(std::uint64_t number) {
  std::array<std::byte, 8> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(number >> 8U * i & 0xFFU);
  return raw(bytes);
}

Digest Hasher::finish() {
  Digest digest;
  must(EVP_DigestFinal_ex(md(context_), digest.bytes.data(), nullptr) == 1);
  return digest;
}

Digest sha256(std::span<const std::byte> bytes) { return Hasher().raw(bytes).finish(); }

Result<Digest> sha256_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  Hasher hasher;
  std::vector<char> block(std::size_t{1} << 16U);
  while (file.read(block.data(), static_cast<std::streamsize>(block.size())) || file.gcount() > 0) {
    hasher.raw(std::as_bytes(std::span(block.data(), static_cast<std::size_t>(file.gcount()))));
  }
  // A directory opens, but cannot be read: only an end that was reached says that all bytes were seen.
  if (!file.eof()) return Error(Errc::digest_unavailable, text("cannot read \"", path, "\""));
  return hasher.finish();
}

Digest digest_of(const CallableName& callable, std::span<const std::byte> elf) {
  return digest_of(callable, sha256(elf));
}

Digest digest_of(const CallableName& callable, const Digest& file) {
  return named(callable, "file").field(std::as_bytes(std::span(file.bytes))).finish();
}

Result<Digest> digest_of(const CallableName& callable, const void* function) {
  const std::optional<LoadedObject> object = loaded_object_at(function);
  if (!object) {
    return Error(Errc::digest_unavailable,
                 text("the function of \"", callable.name, "\" lies in no loaded object"));
  }
  const Result<Digest> identity = identity_of(*object);
  if (!identity) return identity.error();
  return digest_in(callable, *object, *identity, function);
}

Result<Digest> identity_of(const LoadedObject& object) {
  if (object.build_id.empty()) {
    // Its file may hold another object by now.
    if (const auto file = remembered_file(object.base)) return *file;
    return sha256_of_file(object.path);
  }
  return Hasher().field("build-id").field(object.build_id).finish();
}

Digest digest_in(const CallableName& callable, const LoadedObject& object, const Digest& identity,
                 const void* address) {
  return named(callable, "function")
      .field(std::as_bytes(std::span(identity.bytes)))
      .field(reinterpret_cast<std::uintptr_t>(address) - object.base)
      .finish();
}

Result<Digest> object_identity(const void* address) {
  const std::optional<LoadedObject> object = loaded_object_at(address);
  if (!object) return Error(Errc::digest_unavailable, "an address that lies in no loaded object");
  return identity_of(*object);
}

std::span<const std::byte> build_id_of(const void* address) {
  const std::optional<LoadedObject> object = loaded_object_at(address);
  return object ? object->build_id : std::span<const std::byte>();
}

}  // namespace troupe::runtime
