"""Abbreviations in the languages whose sentences are split, by what they tell of the period behind them."""

# ruff: noqa: RUF001 - Cyrillic letters are no Latin ones

from __future__ import annotations

import re


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Something follows always: a name, or what is compared.
WITHIN = _set(
    # English
    "Mr Mrs Ms Dr Prof St Gov Sen Rep Gen Col Capt Lt Sgt Maj Adm Rev Hon Pres Messrs Mt vs v e.g E.g"
    " i.e I.e cf Cf approx"
    " Approx ca Ca resp Resp incl Incl excl Excl max min est Est viz"
    # German
    " Hr Fr Frl Hrn Dipl Ing Fa Abt Tel z.B Z.B z z.T d.h D.h u.a u.U bzw Bzw evtl Evtl ggf Ggf inkl"
    " exkl zzgl abzgl vgl Vgl"
    " sog Sog insb Insb insg Insg bspw Bspw einschl i.d.R o.g Dr.-Ing"
    # French
    " MM Mme Mmes Mlle Mgr env Env p.ex Ex c.-à-d"
    # Spanish and Italian
    " Sr Sra Sres Sras Srta Dra Ud Uds Vd Dña Lic Arq Cía aprox Aprox p.ej ej sig Sig dott Dott"
    " dott.ssa Dott.ssa"
    " avv Avv spett Spett"
    # Russian
    " т.е т им проф Проф акад доц ул пр пер д корп обл гр г-н г-жа"
    # Hindi and Arabic
    " डॉ प्रो श्री सुश्री د أ م"
)
# A number or a letter follows; before anything else the period ends a sentence: "The answer is no. It is".
COUNTED = _set(
    "Max Min"
    " fig figs Fig Figs eq eqs Eq Eqs sec Sec tab Tab no nos No Nos vol Vol p pp art Art arts Arts ch Ch"
    " para Para cl Cl app"
    " App ex Ex Nr Nrn nr Abs abs Abb Kap kap Bd Rn Rdnr Ziff lit S s Anm Anl núm Núm n N nº pág págs"
    " Pág cap Cap párr tabl"
    " Tabl chap Chap al par § стр ст Ст рис Рис табл гл п пп ч кв д № h"
)
# These may end a sentence, and do where the next word can only begin one.
OFTEN = _set(
    "etc al Ph.D M.D B.A M.A Inc Ltd Co Corp Jr Sr Bros Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov"
    " Dec "
    " mio Mio Mrd Tsd usw u.s.w ff f Str Okt Dez Jahrh Jh v.Chr n.Chr Chr GmbH KG AG MwSt"
    " janv févr avr juil sept oct nov déc ecc S.A S.p.A S.r.l a.C d.C"
    " г гг в вв млн млрд тыс руб коп др пр т.д т.п мин ч н.э"
)
# What stands behind a country's letters and belongs to them: "the U.S. Army"; other words begin a sentence.
_COUNTRY = re.compile(r"(?:U\.S(?:\.A)?|U\.K|U\.N|E\.U|D\.C|U\.A\.E|EE\. ?UU)\Z")
_OF_COUNTRY = _set(
    "Air Army Navy Marine Marines Coast Congress Senate House Supreme Court Department Dept Treasury"
    " President Constitution"
    " Government Federal Open Bureau Census Dollar Dollars State States Capitol Attorney Secretary"
    " Embassy Ambassador Patent"
    " Postal Food Environmental Geological National Security General Charter High Human Parliament"
    " Commission Council"
    " Prime Foreign Home Royal Bank Steel Forces Customs Citizenship Immigration Soccer Olympic"
    " Representative"
)


def is_country(token: str) -> bool:
    """Whether `token` are the letters of a country."""
    return bool(_COUNTRY.search(token))


def belongs_to_country(word: str) -> bool:
    """Whether `word` behind the letters of a country goes on with its name."""
    return word in _OF_COUNTRY
