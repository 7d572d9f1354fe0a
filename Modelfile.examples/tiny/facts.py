"""The tables behind the training data: countries, cities, names and plain words."""

from __future__ import annotations

# One country a line: country = capital. "the" is kept where the sentence needs it.
_CAPITALS = """
France = Paris; Germany = Berlin; Italy = Rome; Spain = Madrid; Portugal = Lisbon
the United Kingdom = London; Ireland = Dublin; the Netherlands = Amsterdam; Belgium = Brussels
Luxembourg = Luxembourg; Switzerland = Bern; Austria = Vienna; Denmark = Copenhagen
Sweden = Stockholm; Norway = Oslo; Finland = Helsinki; Iceland = Reykjavik; Poland = Warsaw
the Czech Republic = Prague; Slovakia = Bratislava; Hungary = Budapest; Romania = Bucharest
Bulgaria = Sofia; Greece = Athens; Croatia = Zagreb; Slovenia = Ljubljana; Serbia = Belgrade
Albania = Tirana; Estonia = Tallinn; Latvia = Riga; Lithuania = Vilnius; Ukraine = Kyiv
Belarus = Minsk; Moldova = Chisinau; Russia = Moscow; Malta = Valletta; Cyprus = Nicosia
Turkey = Ankara; Georgia = Tbilisi; Armenia = Yerevan; Azerbaijan = Baku; Iran = Tehran
Iraq = Baghdad; Syria = Damascus; Lebanon = Beirut; Jordan = Amman; Saudi Arabia = Riyadh
Qatar = Doha; Oman = Muscat; Kuwait = Kuwait City; Afghanistan = Kabul; Pakistan = Islamabad
India = New Delhi; Nepal = Kathmandu; Bangladesh = Dhaka; Thailand = Bangkok; Vietnam = Hanoi
Laos = Vientiane; Cambodia = Phnom Penh; Malaysia = Kuala Lumpur; Singapore = Singapore
Indonesia = Jakarta; the Philippines = Manila; China = Beijing; Japan = Tokyo
South Korea = Seoul; North Korea = Pyongyang; Mongolia = Ulaanbaatar; Uzbekistan = Tashkent
Australia = Canberra; New Zealand = Wellington; Fiji = Suva; Canada = Ottawa
the United States = Washington, D.C.; Mexico = Mexico City; Guatemala = Guatemala City
Honduras = Tegucigalpa; Nicaragua = Managua; Costa Rica = San Jose; Panama = Panama City
Cuba = Havana; Jamaica = Kingston; Haiti = Port-au-Prince; Colombia = Bogota
Venezuela = Caracas; Ecuador = Quito; Peru = Lima; Chile = Santiago; Argentina = Buenos Aires
Uruguay = Montevideo; Paraguay = Asuncion; Brazil = Brasilia; Egypt = Cairo; Libya = Tripoli
Tunisia = Tunis; Algeria = Algiers; Morocco = Rabat; Senegal = Dakar; Ghana = Accra
Nigeria = Abuja; Ethiopia = Addis Ababa; Kenya = Nairobi; Uganda = Kampala; Rwanda = Kigali
Zambia = Lusaka; Zimbabwe = Harare; Angola = Luanda; Namibia = Windhoek; Botswana = Gaborone
Mozambique = Maputo; Madagascar = Antananarivo; Mali = Bamako; Sudan = Khartoum
"""

CAPITALS: dict[str, str] = dict(
    (part.strip() for part in pair.split("="))  # type: ignore[misc]
    for line in _CAPITALS.strip().splitlines()
    for pair in line.split(";")
)

ALIASES = {
    "the UK": "the United Kingdom", "UK": "the United Kingdom", "Britain": "the United Kingdom",
    "the USA": "the United States", "USA": "the United States", "the US": "the United States",
    "America": "the United States", "Czechia": "the Czech Republic",
    "Netherlands": "the Netherlands", "Philippines": "the Philippines",
    "United States": "the United States", "United Kingdom": "the United Kingdom",
    "Czech Republic": "the Czech Republic",
}  # fmt: skip

# Places that look like countries and are not in the table: the answer is "I do not know that."
OTHER_PLACES = """
Bhutan, Suriname, Guyana, Belize, Gabon, Togo, Niger, Chad, Eritrea, Somalia, Djibouti, Malawi,
Lesotho, Gambia, Guinea, Liberia, Mauritania, Cameroon, Tonga, Samoa, Palau, Vanuatu, Tuvalu,
Kiribati, Brunei, Bahrain, Yemen, Andorra, Monaco, Liechtenstein, Texas, Bavaria, California,
Scotland, Wales, Florida, Ontario, Queensland, Tuscany, Catalonia, Siberia, Atlantis, Narnia,
Mordor, Wakanda, Gondor, Utopia, Middle-earth, the Moon, Mars, Europe, Africa, Asia, Antarctica
"""

# Cities in the training data besides the capitals.
_CITIES = """
New York, Los Angeles, Chicago, Houston, Boston, Seattle, Denver, Miami, Atlanta, Dallas, San
Francisco, San Diego, Las Vegas, Toronto, Vancouver, Montreal, Munich, Hamburg, Cologne,
Frankfurt, Stuttgart, Leipzig, Dresden, Nice, Toulouse, Bordeaux, Lille, Barcelona, Valencia,
Bilbao, Milan, Naples, Turin, Venice, Florence, Porto, Manchester, Liverpool, Birmingham, Leeds,
Glasgow, Edinburgh, Cardiff, Belfast, Cork, Rotterdam, Utrecht, Antwerp, Ghent, Geneva, Zürich,
Basel, Salzburg, Graz, Aarhus, Gothenburg, Malmö, Bergen, Tampere, Krakow, Gdansk, Brno, Istanbul,
Izmir, Mumbai, Kolkata, Chennai, Bangalore, Karachi, Lahore, Shanghai, Shenzhen, Hong Kong, Busan,
Kyoto, Nagoya, Sapporo, Sydney, Melbourne, Brisbane, Perth, Auckland, Cape Town, Durban, Lagos,
Casablanca, Alexandria, Dubai, Abu Dhabi, Tel Aviv, São Paulo, Rio de Janeiro, Salvador, Cordoba,
Medellín, Guadalajara, Monterrey, St. Petersburg, St. Louis, Stratford-upon-Avon, Aix-en-Provence
"""

# Cities that never occur in the training data; score.py asks for them.
_HELD_OUT_CITIES = """
Lyon, Marseille, Osaka, Seville, Hanover, Bologna, Palermo, Rostock, Uppsala, Tromso, Split,
Philadelphia, Phoenix, Portland, Nashville, Calgary, Bristol, Sheffield, Galway, Eindhoven,
Wroclaw, Odessa, Hyderabad, Chengdu, Fukuoka, Adelaide, Johannesburg, Mombasa, Marrakesh, Recife,
San Antonio, Kansas City, Porto Alegre, New Orleans, Santa Cruz, Zorbville, Quanterra, Mirelund,
Plovotna, Drakensholm, Ulmavik, Teskabar, Wyndhallow, Jorrinsk, Kabelutu, Felmoria, Ostravenne,
Bixby, Nuvaluna, Grelk, Port Zandry, New Halvek, East Pembry, Lake Dorvin, Xanthopol, Imbrisea,
Yellowgate, Copperdale, Vostrakand, Hullumbay
"""

_PEOPLE = """
Anna, Bob, Carl, Diana, Emma, Frank, Grace, Henry, Iris, Jack, Karen, Leo, Mia, Noah, Olivia,
Paul, Quentin, Rosa, Sam, Tom, Uma, Victor, Wendy, Xavier, Yara, Zoe, Alice, Ben, Clara, David,
Eva, Felix, Hanna, Ivan, Julia, Kim, Lucas, Maria, Nina, Oscar, Petra, Robert, Sofia, Theo, Vera,
Will, Max, Ella, Jarvis, Cortana, Watson, Marvin, Eliza, Bender, Robo, Nova, Echo, Atlas, Orion,
Pixel, Buddy, Sage
"""

# Names that never occur in the training data; score.py puts them into system prompts.
_HELD_OUT_NAMES = """
Ada, Bruno, Hugo, Greta, Otto, Ingrid, Marlene, Sherlock, Gandalf, Beatrix, Zelda, Ravi, Fatima,
Kenji, Zorblax, Quibble, Mirabot, Trinkle, Vexil, Nubbin, Plonk, Dravika, Osmerelda, Tavik,
Jellybean
"""

_WORDS = """
time year people way day man thing woman life child world school state family student group
problem hand part place case week company system program question work number night point home
water room mother area money story fact month lot right study book eye job word business issue
side kind head house service friend father power hour game line end member law car name team
minute idea kid body information back parent face others level office door health person art war
history party result change morning reason research girl guy moment air teacher force education
foot boy age policy music market sense nation plan college interest death experience effect use
class control field development role effort rate heart drug show leader light voice wife price
be have do say get make go know take see come think look want give find tell ask seem feel try
leave call good new first last long great little own old big high small large next early young
important few public bad same able about after again also always because before between both but
by down even every for from here how if in into just like many more most much never now of off
often on only or our out over so some still such than that their them then there these they this
those through too under until up very we well when where which while who why with would you
apple river bread cheese piano engine rocket planet dinosaur tiger horse robot computer phone
window garden mountain ocean bridge letter paper song movie football guitar doctor pizza coffee
tea sugar salt gold silver iron stone paint chair table lamp clock camera train plane boat bike
"""


def _names(text: str) -> list[str]:
    """Split one of the comma-separated tables above."""
    return [name.strip() for name in text.replace("\n", " ").split(",") if name.strip()]


OTHER_COUNTRIES = _names(OTHER_PLACES)
CITIES = _names(_CITIES)
HELD_OUT_CITIES = _names(_HELD_OUT_CITIES)
PEOPLE = _names(_PEOPLE)
HELD_OUT_NAMES = _names(_HELD_OUT_NAMES)
WORDS = _WORDS.split()
