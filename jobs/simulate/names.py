# ruff: noqa: RUF001 - names in many scripts
"""Names of the simulated shows, channels and episodes. All are invented and refer to nothing real."""

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Named:
    """A show's name, its slug in URLs (TVMaze transliterates), and its kind."""

    name: str
    slug: str
    language: str
    country: str
    type: str
    genres: tuple[str, ...]


_TABLE = """
두 번째 첫눈 | du-beonjjae-cheonnun | Korean | KR | Romance
벚꽃 아래서 | beotkkot-araeseo | Korean | KR | Romance, Comedy
달빛 카페 | dalbit-kape | Korean | KR | Romance, Fantasy
우리의 여름 편지 | uriui-yeoreum-pyeonji | Korean | KR | Romance
비 오는 날의 약속 | bi-oneun-narui-yaksok | Korean | KR | Romance
옥상 위의 고백 | oksang-wiui-gobaek | Korean | KR | Romance, Comedy
별을 굽는 제과점 | byeoreul-gumneun-jegwajeom | Korean | KR | Food, Drama
강변 병원 | gangbyeon-byeongwon | Korean | KR | Medical, Drama
새벽의 기록관 | saebyeogui-girokgwan | Korean | KR | Crime, Mystery
한밤의 노래방 | hanbamui-noraebang | Korean | KR |
세종로 뉴스 | sejongno-nyuseu | Korean | KR |
灯台守の娘 | todaimori-no-musume | Japanese | JP | Drama
猫町三丁目 | nekomachi-sanchome | Japanese | JP | Anime, Comedy
風待ち食堂 | kazemachi-shokudo | Japanese | JP | Food, Drama
青い糸電話 | aoi-itodenwa | Japanese | JP | Romance, Comedy
第七埠頭 | dai-nana-futo | Japanese | JP | Crime, Drama
星屑整備士 | hoshikuzu-seibishi | Japanese | JP | Anime, Science-Fiction
真夜中の将棋盤 | mayonaka-no-shogiban | Japanese | JP | Drama, Mystery
あさがお便り | asagao-dayori | Japanese | JP |
Следы на льду | sledy-na-ldu | Russian | RU | Crime, Thriller
Тихая гавань | tikhaya-gavan | Russian | RU | Romance
Звёздный экспресс | zvyozdnyj-ekspress | Russian | RU | Science-Fiction, Adventure
Пятый этаж | pyatyj-etazh | Russian | RU | Comedy
Кухня бабушки Зои | kukhnya-babushki-zoi | Russian | RU |
Қыран | qyran | Kazakh | KZ | Nature, Adventure
Nebelkammer | nebelkammer | German | DE | Crime, Mystery
Die Brückenbauer | die-bruckenbauer | German | DE | Drama, History
Hofladen Wiese | hofladen-wiese | German | DE | Family, Comedy
Sternwarte Nord | sternwarte-nord | German | DE | Science-Fiction
Nachtzug nach Görlitz | nachtzug-nach-gorlitz | German | DE | Drama
The Crossing | the-crossing | German | DE | Drama, War
The Crossing | the-crossing | English | US | Thriller, Crime
Le Quai des brumes douces | le-quai-des-brumes-douces | French | FR | Crime, Drama
La Boulangerie d’en face | la-boulangerie-den-face | French | FR | Comedy, Food
Sous les toits | sous-les-toits | French | FR | Romance, Family
Mille Lucioles | mille-lucioles | French | FR | Children, Family
Maré de Setembro | mare-de-setembro | Portuguese | BR | Drama
Rua das Laranjeiras | rua-das-laranjeiras | Portuguese | BR | Drama, Comedy
A Última Jangada | a-ultima-jangada | Portuguese | BR | Adventure
Delegacia 9 | delegacia-9 | Portuguese | BR | Crime, Action
La casa de los relojes | la-casa-de-los-relojes | Spanish | ES | Mystery, Drama
Azahar | azahar | Spanish | ES | Drama, History
Mercado Central | mercado-central | Spanish | MX | Comedy
Norrskenet | norrskenet | Swedish | SE | Drama, Thriller
Fyrvaktaren | fyrvaktaren | Swedish | SE | Crime, Drama
Blåbærskogen | blabaerskogen | Norwegian | NO | Children
चाय की दुकान | chai-ki-dukan | Hindi | IN | Comedy, Drama
मानसून एक्सप्रेस | monsoon-express | Hindi | IN | Drama, Family
Harbour Nine | harbour-nine | English | GB | Crime, Drama
Night Docket | night-docket | English | US | Crime, Legal
The Ostrava File | the-ostrava-file | English | GB | Crime, Thriller
Cold Quay | cold-quay | English | US | Crime, Mystery
Salt & Sirens | salt-sirens | English | US | Crime, Comedy
Precinct Lullaby | precinct-lullaby | English | US | Crime, Drama
"""


def _named(line: str) -> Named:
    name, slug, language, country, listed = (part.strip() for part in line.split("|"))
    genres = tuple(genre.strip() for genre in listed.split(",") if genre.strip())
    return Named(name, slug, language, country, "Scripted" if genres else "Talk Show", genres)


NAMED = tuple(_named(line) for line in _TABLE.strip().splitlines())

# The rest of the catalogue: "The Amber Orchard", "Orchard of Wren Hollow".
ADJECTIVES = (
    "Amber", "Borrowed", "Crooked", "Distant", "Electric", "Forgotten", "Gentle", "Hollow", "Indigo", "Little", "Lucky",
    "Midnight", "Paper", "Quiet", "Restless", "Silver", "Tangled", "Unlikely", "Velvet", "Wandering",
)  # fmt: skip
NOUNS = (
    "Almanac", "Bakery", "Caravan", "Detour", "Echoes", "Ferry", "Garden", "Horizon", "Inheritance", "Jamboree",
    "Kingdom", "Lighthouse", "Migration", "Neighbours", "Orchard", "Pilots", "Quarry", "Rehearsal", "Summit",
    "Telegraph",
)  # fmt: skip
PLACES = (
    "Ashgrove", "Bellweather", "Calder Bay", "Dunmore", "Eastlight", "Fernhill", "Greymouth", "Hartwell", "Larkspur",
    "Juniper Falls", "Kestrel Point", "Marrow Creek", "Northgate", "Otter Sound", "Pine Barrens", "Saltmarsh",
    "Thornbury", "Wren Hollow",
)  # fmt: skip

EPISODE_WORD = MappingProxyType(
    {"Korean": "{}회", "Japanese": "第{}話", "Russian": "Серия {}", "German": "Folge {}", "French": "Épisode {}"}
)
"""Name of an episode without a title, by language; English for other languages."""

NETWORKS = MappingProxyType(
    {
        "US": ("Meridian Network", "Channel Eleven", "KPX", "Heartland TV"),
        "GB": ("Albion One", "Fourways", "Northern"),
        "KR": ("한빛TV", "누리방송"),
        "JP": ("みなとテレビ", "つばさTV"),
        "DE": ("Nordlicht TV", "Erste Welle"),
        "FR": ("Canal Lumière", "Antenne Sud"),
        "RU": ("Канал Север",),
    }
)
LOCAL_CHANNELS = MappingProxyType(
    {
        "US": ("Porchlight", "KPX Now"),
        "GB": ("Albion Player",),
        "KR": ("달빛플레이",),
        "JP": ("ことり動画",),
        "DE": ("Zeitraum+",),
        "FR": ("Passerelle",),
        "BR": ("Rede Jacarandá",),
        "RU": ("Снегирь",),
        "KZ": ("Aspan.kz",),
        "SE": ("Norrsken Play",),
        "NO": ("Fjordflimmer",),
        "IN": ("Pankh",),
    }
)
GLOBAL_CHANNELS = ("Streamhouse", "Northstar+", "Kaleido", "Openreel")
