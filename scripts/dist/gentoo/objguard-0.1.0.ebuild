# Not tried here. CRATES is filled in by pycargoebuild, SRC_URI and HOMEPAGE by whoever publishes.

EAPI=8

CRATES="
	@CRATES@
"
RUST_MIN_VER="1.89.0"

inherit cargo toolchain-funcs

DESCRIPTION="Compiler wrapper that makes parallel builds right"
HOMEPAGE="@HOMEPAGE@"
SRC_URI="
	@ARCHIVE@
	${CARGO_CRATE_URIS}
"

LICENSE="|| ( MIT Apache-2.0 )"
# What the crates ask for.
LICENSE+=" Apache-2.0 BSD MIT MPL-2.0 Unicode-3.0"
SLOT="0"
KEYWORDS="~amd64 ~arm64"
# The tests install what they need from the network.
RESTRICT="test"

QA_FLAGS_IGNORED="usr/bin/objguard.*"

src_configure() {
	cargo_src_configure --bins
}

src_install() {
	# Links for the compilers of this CHOST; like ccache's they guard what calls a compiler by name.
	local names=( cc c++ gcc g++ ar ranlib gcc-ar gcc-ranlib "${CHOST}"-{gcc,g++,ar,ranlib,gcc-ar,gcc-ranlib} )
	scripts/install PREFIX="${EPREFIX}/usr" DESTDIR="${D}" --from "$(cargo_target_dir)" --masquerade "${names[*]}" || die
	# Portage has a list of its own, and compresses documentation where it belongs.
	rm -r "${ED}"/usr/share/objguard "${ED}"/usr/share/doc/objguard || die
	dodoc README.md CHANGELOG.md src/docs/*.md
}
