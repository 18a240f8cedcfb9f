"""The words of the sample's law: two codes and a decree.

What belongs here: invented articles, in our own words, that say plausible things about real subjects so that
questions find answers. **They are not the law**: identifiers in `0000990…` exist nowhere at the DILA. What
does not: how they are written (`legi_xml.py`) and when they are delivered (`legi_deliveries.py`).

Fragments are XML. The base puts no line break around `<br/>`: some sentences are glued to it on purpose.
"""

from mediatech_assets.sample_upstream.legi_xml import Article, LegalText, Link, SectionTitle, Version

_CODIFIED = "2008-05-01"
_LABOUR = "LEGITEXT000006072050"
_PUBLIC = "LEGITEXT000031366350"


def _labour_section(number: int, title: str, parent: int = 0) -> SectionTitle:
    return SectionTitle(_section(number), title, _section(parent) if parent else "", _CODIFIED)


def _public_section(number: int, title: str, parent: int = 0) -> SectionTitle:
    return SectionTitle(_section(number), title, _section(parent) if parent else "", "2016-01-01")


def _section(number: int) -> str:
    return f"LEGISCTA{99_000_000 + number:012d}"


def _article(number: int) -> str:
    return f"LEGIARTI{99_000_000 + number:012d}"


LABOUR_CODE = LegalText(
    cid=_LABOUR,
    id=_LABOUR,
    title="Code du travail",
    nature="CODE",
    start="1973-11-23",
    sections=(
        _labour_section(1, "Partie législative"),
        _labour_section(2, "Première partie : Les relations individuelles de travail", 1),
        _labour_section(3, "Livre II : Le contrat de travail", 2),
        _labour_section(4, "Chapitre II : Exécution du contrat et télétravail", 3),
        _labour_section(5, "Chapitre III : Rupture du contrat à durée indéterminée", 3),
        _labour_section(6, "Section 2 : Préavis et indemnité de licenciement", 5),
        _labour_section(7, "Chapitre V : Maternité, paternité et éducation des enfants", 3),
        _labour_section(8, "Troisième partie : Durée du travail, salaire et participation", 1),
        _labour_section(9, "Livre Ier : Durée du travail, repos et congés", 8),
        _labour_section(10, "Titre II : Durée du travail", 9),
        _labour_section(11, "Titre III : Repos et jours fériés", 9),
        _labour_section(12, "Titre IV : Congés payés", 9),
        _labour_section(13, "Chapitre Ier : Droit au congé et durée", 12),
        _labour_section(14, "Chapitre II : Prise des congés et indemnités", 12),
        _labour_section(15, "Partie réglementaire"),
        _labour_section(16, "Titre IV : Congés payés - Dispositions d'application", 15),
    ),
)

PUBLIC_CODE = LegalText(
    cid=_PUBLIC,
    id=_PUBLIC,
    title="Code des relations entre le public et l'administration",
    nature="CODE",
    start="2016-01-01",
    sections=(
        _public_section(21, "Livre Ier : Les échanges avec l'administration"),
        _public_section(22, "Titre Ier : Les demandes du public", 21),
        _public_section(23, "Titre II : Le droit à l'erreur et les échanges préalables", 21),
        _public_section(24, "Livre II : Les actes unilatéraux de l'administration"),
        _public_section(25, "Titre Ier : La motivation", 24),
        _public_section(26, "Titre III : Les décisions implicites", 24),
        _public_section(27, "Livre III : L'accès aux documents administratifs"),
        _public_section(28, "Livre IV : Le règlement des différends"),
    ),
)

DECREE = LegalText(
    cid="JORFTEXT000099000301",
    id="LEGITEXT000099000301",
    title="Décret n° 2025-9901 du 2 décembre 2025 relatif à l'accusé de réception des demandes transmises par"
    " voie électronique",
    short_title="Décret n° 2025-9901 du 2 décembre 2025",
    nature="DECRET",
    start="2025-12-04",
    signed="2025-12-02",
    number="2025-9901",
    nor="PRMX9900301D",
    ministry="Premier ministre",
)

LABOUR_ARTICLES: tuple[Article, ...] = (
    Article(
        _article(101),
        "L3141-1",
        _section(13),
        """<p>Chaque année, tout salarié a droit à un congé payé à la charge de son employeur, quelles que
        soient la nature de son contrat et la durée hebdomadaire de son travail.</p>""",
    ),
    Article(
        _article(102),
        "L3141-3",
        _section(13),
        """<p>Le salarié acquiert deux jours et demi ouvrables de congés payés par mois de travail effectif
        chez le même employeur.</p>
        <p>Le nombre de jours de congés payés acquis par an ne peut dépasser trente jours ouvrables, soit cinq
        semaines. Lorsque l'entreprise compte en jours ouvrés, cette durée correspond à vingt-cinq jours.</p>
        <p>Lorsque le total n'est pas un nombre entier, il est arrondi au nombre entier supérieur.</p>""",
        links=(
            Link(
                "Code du travail - art. L3141-5 (V)", "CITATION", "source", _LABOUR, _article(103), "L3141-5"
            ),
            Link(
                "Loi de l'exemple n° 2016-9988 - art. 8 (V)",
                "MODIFIE",
                "cible",
                "JORFTEXT000099000988",
                nature="LOI",
            ),
        ),
    ),
    Article(
        _article(103),
        "L3141-5",
        _section(13),
        """<p>Pour calculer la durée du congé, sont comptées comme du travail effectif :<br/>
        <br/>1° Les périodes de congé payé de l'année précédente ;<br/>
        <br/>2° Les congés de maternité, de paternité et d'adoption ;<br/>
        <br/>3° Les repos donnés en contrepartie des heures supplémentaires ;<br/>
        <br/>4° Les arrêts causés par un accident du travail ou une maladie professionnelle ;<br/>
        <br/>5° Les arrêts causés par une maladie sans lien avec le travail, dans la limite de deux jours
        ouvrables de congé par mois.</p>""",
        start="2024-04-24",
        note="""<p>Conformément à l'<a href="/affichCodeArticle.do?idArticle=LEGIARTI000099000101"
        title="Code du travail - art. L3141-1 (V)">article L. 3141-1</a>, le 5° s'applique aux arrêts
        commencés à partir du <strong>24 avril 2024</strong>.</p>
        <p><em>Les droits antérieurs</em> restent calculés selon la règle ancienne.</p>""",
    ),
    Article(
        _article(104),
        "L3141-13",
        _section(14),
        """<p>Les congés sont pris pendant une période qui comprend, dans tous les cas, les mois de mai à
        octobre de chaque année.</p>
        <p>Un accord d'entreprise fixe cette période ; à défaut, l'employeur la fixe après avoir consulté le
        comité social et économique, et la fait connaître deux mois avant qu'elle commence.</p>""",
    ),
    Article(
        _article(105),
        "L3141-17",
        _section(14),
        """<p>Le congé pris en une seule fois ne dépasse pas vingt-quatre jours ouvrables, c'est-à-dire quatre
        semaines.</p>
        <p>Il peut être dérogé à cette limite pour le salarié dont la famille vit hors de France
        métropolitaine ou qui aide, à son foyer, un proche handicapé ou en perte d'autonomie.</p>""",
    ),
    Article(
        _article(106),
        "L3141-24",
        _section(14),
        """<p>L'indemnité de congé payé est égale au dixième de la rémunération brute reçue par le salarié
        pendant l'année de référence.</p>
        <p>Elle ne peut toutefois être inférieure à la rémunération qu'il aurait reçue s'il avait continué à
        travailler. L'employeur compare les deux montants et verse le plus élevé.</p>""",
    ),
    Article(
        _article(107),
        "L3141-28",
        _section(14),
        """<p>Le salarié dont le contrat prend fin avant qu'il ait pris tous ses congés reçoit, pour les jours
        qui restent, une indemnité compensatrice.</p>
        <p>Elle est due que la rupture vienne du salarié ou de l'employeur.</p>""",
    ),
    Article(
        _article(108),
        "L3121-1",
        _section(10),
        """<p>Est un temps de travail effectif celui pendant lequel le salarié est à la disposition de son
        employeur et suit ses instructions sans pouvoir librement s'occuper de ses affaires
        personnelles.</p>""",
    ),
    Article(
        _article(109),
        "L3121-18",
        _section(10),
        """<p>Un salarié ne travaille pas effectivement plus de dix heures par jour, sauf :<br/>1° Dérogation
        de l'inspecteur du travail ;<br/>2° Urgence définie par décret ;<br/>3° Accord d'entreprise, dans la
        limite de douze heures.</p>""",
    ),
    Article(
        _article(110),
        "L3121-27",
        _section(10),
        """<p>La durée légale du travail effectif des salariés à temps complet est de trente-cinq heures par
        semaine.</p>""",
    ),
    Article(
        _article(111),
        "L3121-28",
        _section(10),
        """<p>Chaque heure accomplie au-delà de la durée légale hebdomadaire est une heure supplémentaire.
        Elle donne droit à un salaire majoré ou, le cas échéant, à un repos équivalent.</p>""",
    ),
    Article(
        _article(112),
        "L3121-36",
        _section(10),
        """<p>À défaut d'accord, les heures supplémentaires sont majorées de 25 % pour chacune des huit
        premières heures de la semaine. Les suivantes sont majorées de 50 %.</p>""",
    ),
    Article(
        _article(113),
        "L3131-1",
        _section(11),
        """<p>Tout salarié a un repos quotidien d'au moins onze heures de suite.</p>""",
    ),
    Article(
        _article(114),
        "L3132-2",
        _section(11),
        """<p>Le repos hebdomadaire dure au moins vingt-quatre heures de suite, auxquelles s'ajoutent les onze
        heures du repos quotidien.</p>""",
    ),
    Article(
        _article(115),
        "L3132-3",
        _section(11),
        """<p>Dans l'intérêt des salariés, le repos de la semaine est donné le dimanche.</p>""",
        note="""<p/><br clear="none"/>""",
    ),
    Article(
        _article(116),
        "L3133-1",
        _section(11),
        """<p>Sont des jours fériés légaux :<br/>1° Le 1er janvier ;<br/>2° Le lundi de Pâques ;<br/>3° Le
        1er mai ;<br/>4° Le 8 mai ;<br/>5° L'Ascension ;<br/>6° Le lundi de Pentecôte ;<br/>7° Le
        14 juillet ;<br/>8° L'Assomption ;<br/>9° La Toussaint ;<br/>10° Le 11 novembre ;<br/>11° Le jour de
        Noël.</p>
        <p>Seul le 1er mai est obligatoirement chômé et payé.</p>""",
    ),
    Article(
        _article(117),
        "L1222-9",
        _section(4),
        """<p>Le télétravail est une façon d'organiser le travail dans laquelle une tâche qui aurait pu être
        faite dans les locaux de l'employeur est faite ailleurs, volontairement, au moyen des technologies de
        l'information.</p>
        <p>Il est mis en place par un accord collectif ou par une charte. En leur absence, le salarié et
        l'employeur forment leur accord par tout moyen.</p>
        <p>L'employeur qui refuse le télétravail à un salarié dont le poste le permet motive sa
        réponse.</p>""",
        start="2018-04-01",
    ),
    Article(
        _article(118),
        "L1222-11",
        _section(4),
        """<p>En cas de circonstances exceptionnelles, notamment de menace d'épidémie, ou en cas de force
        majeure, le télétravail peut être regardé comme un aménagement du poste nécessaire à la continuité de
        l'activité de l'entreprise et à la protection des salariés.</p>""",
    ),
    Article(
        _article(119),
        "L1231-1",
        _section(5),
        """<p>Le contrat de travail à durée indéterminée peut être rompu par l'employeur, par le salarié ou
        d'un commun accord. Ces règles ne s'appliquent pas pendant la période d'essai.</p>""",
        start=_CODIFIED,
    ),
    Article(
        _article(120),
        "L1232-2",
        _section(5),
        """<p>L'employeur qui envisage de licencier un salarié le convoque à un entretien préalable, par
        lettre recommandée ou remise en main propre contre décharge, en indiquant l'objet de l'entretien.</p>
        <p>L'entretien n'a pas lieu moins de cinq jours ouvrables après la présentation de la lettre.</p>""",
        start=_CODIFIED,
    ),
    Article(
        _article(121),
        "L1234-1",
        _section(6),
        """<p>Le salarié licencié pour un motif autre qu'une faute grave a droit à un préavis d'un mois s'il a
        entre six mois et deux ans d'ancienneté, et de deux mois au-delà.</p>""",
        state="MODIFIE",
        start=_CODIFIED,
        end="2019-01-01",
        history=(
            Version(_article(121), "MODIFIE", _CODIFIED, "2019-01-01"),
            Version(_article(122), "VIGUEUR", "2019-01-01", "2999-01-01"),
        ),
    ),
    Article(
        _article(122),
        "L1234-1",
        _section(6),
        """<p>Lorsque le licenciement n'est pas fondé sur une faute grave, le salarié a droit :</p>
        <p>1° S'il a moins de six mois d'ancienneté, au préavis que fixent la loi, l'accord collectif ou, à
        défaut, les usages de la profession ;</p>
        <p>2° S'il a entre six mois et moins de deux ans d'ancienneté, à un préavis d'un mois ;</p>
        <p>3° S'il a au moins deux ans d'ancienneté, à un préavis de deux mois.</p>
        <p>Une clause plus favorable au salarié l'emporte toujours.</p>""",
        start="2019-01-01",
        history=(
            Version(_article(121), "MODIFIE", _CODIFIED, "2019-01-01"),
            Version(_article(122), "VIGUEUR", "2019-01-01", "2999-01-01"),
        ),
    ),
    Article(
        _article(123),
        "L1234-9",
        _section(6),
        """<p>Le salarié en contrat à durée indéterminée licencié alors qu'il compte huit mois d'ancienneté
        ininterrompue a droit, sauf faute grave, à une indemnité de licenciement.</p>
        <p>Elle ne peut être inférieure à un quart de mois de salaire par année d'ancienneté jusqu'à dix ans,
        et à un tiers de mois par année à partir de la onzième.</p>""",
    ),
    Article(
        _article(124),
        "L1237-1",
        _section(5),
        """<p>Le salarié qui démissionne respecte un préavis dont la loi, l'accord collectif ou les usages
        fixent l'existence et la durée.</p>""",
        start=_CODIFIED,
    ),
    Article(
        _article(125),
        "L1237-11",
        _section(5),
        """<p>L'employeur et le salarié peuvent convenir ensemble de la rupture du contrat : c'est la rupture
        conventionnelle, qui ne peut être imposée par l'une ou l'autre des parties.</p>
        <p>Elle résulte d'une convention signée, soumise à l'homologation de l'administration, et chacun
        dispose de quinze jours calendaires pour se rétracter.</p>""",
    ),
    Article(
        _article(126),
        "L1225-17",
        _section(7),
        """<p>La salariée bénéficie d'un congé de maternité dont la durée dépend du nombre d'enfants :</p>
        <table border="1"><tbody>
        <tr><th>Situation</th><th>Avant la naissance</th><th>Après la naissance</th></tr>
        <tr><td>Premier ou deuxième enfant</td><td>6 semaines</td><td>10 semaines</td></tr>
        <tr><td>Troisième enfant</td><td>8 semaines</td><td>18 semaines</td></tr>
        <tr><td>Jumeaux</td><td>12 semaines</td><td>22 semaines</td></tr>
        </tbody></table>
        <p>À sa demande et sur avis favorable du médecin, elle peut reporter jusqu'à trois semaines après la
        naissance.</p>""",
    ),
    Article(
        _article(127),
        "L1225-35",
        _section(7),
        """<p>Après la naissance, le père salarié, ainsi que la personne qui vit avec la mère, bénéficie d'un
        congé de paternité et d'accueil de l'enfant de vingt-cinq jours calendaires, ou de trente-deux jours
        en cas de naissances multiples.</p>""",
        state="VIGUEUR_DIFF",
        start="2222-02-22",
        note="""<p>L'entrée en vigueur de cette version sera fixée par décret.</p>""",
    ),
    Article(
        _article(128),
        "L3141-32",
        _section(14),
        """<p>Les caisses de congés payés de certaines professions tiennent un registre annuel des jours dus à
        chaque salarié.</p>""",
        start=_CODIFIED,
    ),
    Article(
        _article(129),
        "Annexe à l'article R3141-4",
        _section(16),
        """<p>Modèle de demande de congés : nom du salarié ; premier et dernier jours souhaités ; nombre de
        jours ouvrables demandés ; date et signature de l'employeur.</p>""",
        state="",
        start="2999-01-01",
    ),
)

PUBLIC_ARTICLES: tuple[Article, ...] = (
    Article(
        _article(201),
        "L100-3",
        "",
        """<p>Au sens de ce code, on entend par :<br/>
        <br/>1° Administration : l'État, les collectivités territoriales, leurs établissements publics
        administratifs et les organismes chargés d'une mission de service public administratif ;<br/>
        <br/>2° Public : toute personne physique, et toute personne morale de droit privé.</p>""",
        start="2016-01-01",
    ),
    Article(
        _article(202),
        "L112-3",
        _section(22),
        """<p>Toute demande adressée à l'administration fait l'objet d'un accusé de réception, qui indique le
        service chargé du dossier et le délai au terme duquel une décision naîtra du silence.</p>
        <p>Il n'en est pas délivré pour les demandes abusives, notamment par leur nombre.</p>""",
        start="2016-01-01",
    ),
    Article(
        _article(203),
        "L114-5",
        _section(22),
        """<p>Lorsqu'il manque une pièce indispensable à une demande, l'administration l'indique au demandeur
        et lui fixe un délai pour la fournir. Le délai de réponse ne court qu'à partir de la réception de
        cette pièce.</p>""",
        start="2016-01-01",
    ),
    Article(
        _article(204),
        "L121-1",
        _section(23),
        """<p>Sauf lorsqu'elles répondent à une demande, les décisions individuelles qui doivent être motivées
        ne sont prises qu'après que la personne a pu présenter ses observations.</p>""",
        start="2016-01-01",
    ),
    Article(
        _article(205),
        "L123-1",
        _section(23),
        """<p>La personne qui se trompe pour la première fois sur une règle applicable à sa situation, ou qui
        commet une erreur matérielle en déclarant celle-ci, n'est pas sanctionnée si elle régularise
        d'elle-même ou dès qu'elle y est invitée : c'est le droit à l'erreur.</p>
        <p>Ce droit ne joue ni en cas de mauvaise foi, ni en cas de fraude.</p>""",
        start="2018-08-12",
    ),
    Article(
        _article(206),
        "L211-2",
        _section(25),
        """<p>Toute personne a le droit de connaître sans délai les motifs des décisions individuelles
        défavorables qui la concernent. Sont motivées, à ce titre, les décisions qui :</p>
        <ul><li>restreignent une liberté publique ou constituent une mesure de police ;</li>
        <li>infligent une sanction ;</li>
        <li>retirent ou abrogent une décision qui a créé des droits ;</li>
        <li>refusent un avantage auquel la personne a droit, ou une autorisation.</li></ul>""",
        start="2016-01-01",
    ),
    Article(
        _article(207),
        "L211-5",
        _section(25),
        """<p>La motivation est écrite et comporte les considérations de droit et de fait qui fondent la
        décision.</p>""",
        start="2016-01-01",
    ),
    Article(
        _article(208),
        "L231-1",
        _section(26),
        """<p>Le silence gardé pendant deux mois par l'administration sur une demande vaut décision
        d'acceptation.</p>""",
        start="2016-01-01",
        links=(
            Link(
                "Code des relations entre le public et l'administration - art. L231-4 (V)",
                "CITATION",
                "cible",
                _PUBLIC,
                _article(209),
                "L231-4",
            ),
        ),
    ),
    Article(
        _article(209),
        "L231-4",
        _section(26),
        """<p>Par exception, le silence gardé pendant deux mois vaut décision de rejet :<br/>
        <br/>1° Quand la demande ne tend pas à une décision individuelle ;<br/>
        <br/>2° Quand elle est une réclamation ou un recours administratif ;<br/>
        <br/>3° Quand elle est de nature financière, sauf en matière de sécurité sociale ;<br/>
        <br/>4° Quand une acceptation implicite serait contraire à la sécurité nationale ou à l'ordre public ;
        <br/>
        <br/>5° Dans les relations entre l'administration et ses agents.</p>""",
        start="2016-01-01",
    ),
    Article(
        _article(210),
        "L300-2",
        _section(27),
        """<p>Sont des documents administratifs, quels que soient leur date, leur lieu de conservation, leur
        forme et leur support, les documents produits ou reçus par l'administration dans sa mission de service
        public : dossiers, rapports, études, comptes rendus, statistiques, instructions, codes
        sources.</p>""",
        start="2016-10-09",
    ),
    Article(
        _article(211),
        "L311-1",
        _section(27),
        """<p>L'administration communique les documents administratifs qu'elle détient aux personnes qui en
        font la demande, dans les conditions que fixe ce livre.</p>""",
        start="2016-01-01",
    ),
    Article(
        _article(212),
        "L311-9",
        _section(27),
        """<p>L'accès aux documents administratifs s'exerce, au choix du demandeur : par consultation gratuite
        sur place ; par la délivrance d'une copie, à ses frais et dans la limite du coût de la reproduction ;
        par courrier électronique, sans frais, lorsque le document existe sous forme électronique ; ou par
        publication en ligne.</p>""",
        start="2016-10-09",
    ),
    Article(
        _article(213),
        "L411-2",
        _section(28),
        """<p>Toute décision administrative peut faire l'objet, dans le délai du recours contentieux, d'un
        recours gracieux auprès de son auteur ou d'un recours hiérarchique auprès de son supérieur. Ce recours
        interrompt le délai pour saisir le juge, qui repart à zéro lorsque tous deux sont rejetés.</p>""",
        start="2016-01-01",
    ),
)

DECREE_ARTICLES: tuple[Article, ...] = (
    Article(
        _article(301),
        "1",
        "",
        """<p>L'accusé de réception d'une demande transmise par voie électronique est envoyé sans délai, et au
        plus tard dix jours ouvrés après son arrivée.</p>
        <p>Il mentionne la date d'arrivée, le service chargé du dossier et l'adresse à laquelle lui
        écrire.</p>""",
        start="2025-12-04",
    ),
    Article(
        _article(302),
        "2",
        "",
        """<p>Le ministre chargé de la fonction publique est chargé de l'exécution du présent décret, qui sera
        publié au <em>Journal officiel</em> de la République française.</p>""",
        start="2025-12-04",
    ),
)

_STOCK = {article.id: article for article in LABOUR_ARTICLES + PUBLIC_ARTICLES + DECREE_ARTICLES}


def article_of_stock(number: int) -> Article:
    """The stock's article whose id ends in `number`."""
    return _STOCK[_article(number)]


#: The same id once more, under another text's folder, with an older file time: the newer file wins.
OUTDATED_DUPLICATE = Article(
    _article(301),
    "1",
    "",
    """<p>Ancienne copie de l'article 1er, laissée dans un autre dossier : l'accusé de réception est envoyé
    sous trente jours.</p>""",
    start="2025-12-04",
)

# --- 3 January 2026, before the stock: nothing of it may be applied

BEFORE_THE_STOCK_OUTDATED = Article(
    _article(110),
    "L3121-27",
    _section(10),
    """<p>Rédaction périmée : la durée légale du travail est de trente-neuf heures par semaine.</p>""",
)
BEFORE_THE_STOCK_UNKNOWN = Article(
    _article(199),
    "L3121-99",
    _section(10),
    """<p>Article retiré avant le stock : il ne doit plus jamais apparaître.</p>""",
)

# --- 6 January 2026

_REMOTE_WORK_HISTORY = (
    Version(_article(117), "MODIFIE", "2018-04-01", "2026-01-06"),
    Version(_article(130), "VIGUEUR", "2026-01-06", "2999-01-01"),
)
REMOTE_WORK_ENDED = Article(
    _article(117),
    "L1222-9",
    _section(4),
    article_of_stock(117).content,
    state="MODIFIE",
    start="2018-04-01",
    end="2026-01-06",
    history=_REMOTE_WORK_HISTORY,
)
REMOTE_WORK = Article(
    _article(130),
    "L1222-9",
    _section(4),
    """<p>Le télétravail est une façon d'organiser le travail dans laquelle une tâche qui aurait pu être faite
    dans les locaux de l'employeur est faite ailleurs, volontairement, au moyen des technologies de
    l'information.</p>
    <p>L'accord ou la charte qui le met en place précise :<br/>1° Les conditions de passage au télétravail et
    de retour à un travail sans télétravail ;<br/>2° Les plages horaires pendant lesquelles l'employeur peut
    joindre le salarié ;<br/>3° La prise en charge des frais de matériel et de connexion ;<br/>4° L'accès des
    travailleurs handicapés et des proches aidants.</p>
    <p>L'employeur qui refuse le télétravail motive sa réponse par écrit, dans le délai d'un mois.</p>""",
    start="2026-01-06",
    history=_REMOTE_WORK_HISTORY,
)
OVERTIME_CORRECTED = Article(
    _article(112),
    "L3121-36",
    _section(10),
    """<p>À défaut d'accord, les heures supplémentaires sont majorées de 25 % pour chacune des huit premières
    heures, de la trente-sixième à la quarante-troisième heure incluse. Les suivantes sont majorées
    de 50 %.</p>
    <p>Un accord peut prévoir un autre taux, qui n'est jamais inférieur à 10 %.</p>""",
)
CARRY_OVER = Article(
    _article(131),
    "L3141-19-1",
    _section(14),
    """<p>Le salarié qui n'a pu prendre tous ses congés à cause d'une maladie ou d'un accident dispose de
    quinze mois pour prendre les jours qui restent.</p>
    <p>Ce délai de report commence lorsque l'employeur l'a informé, après sa reprise, du nombre de jours dont
    il dispose et de la date jusqu'à laquelle il peut les prendre.</p>""",
    start="2026-01-06",
)
LEAVE_REGISTER_REPEALED = Article(
    _article(128),
    "L3141-32",
    _section(14),
    article_of_stock(128).content,
    state="ABROGE",
    start=_CODIFIED,
    end="2026-01-06",
)

# --- 7 January 2026

SILENCE_COMPLETED = Article(
    _article(208),
    "L231-1",
    _section(26),
    """<p>Le silence gardé pendant deux mois par l'administration sur une demande vaut décision
    d'acceptation.</p>
    <p>La liste des procédures pour lesquelles il en est ainsi est publiée en ligne ; elle indique l'autorité
    à laquelle la demande est adressée et le délai de la décision.</p>""",
    start="2016-01-01",
)
PATERNITY_IN_FORCE = Article(
    _article(127),
    "L1225-35",
    _section(7),
    article_of_stock(127).content,
    start="2026-01-07",
)
MATERNITY_CORRECTED = Article(
    _article(126),
    "L1225-17",
    _section(7),
    article_of_stock(126).content.replace(
        "</tbody>", "<tr><td>Triplés ou plus</td><td>24 semaines</td><td>22 semaines</td></tr></tbody>"
    ),
)
ELECTRONIC_REQUESTS = Article(
    _article(214),
    "L112-8",
    _section(22),
    """<p>Toute personne peut, après s'être identifiée, saisir l'administration par voie électronique d'une
    demande, d'une déclaration ou d'un document. L'administration est alors régulièrement saisie et ne peut
    exiger un envoi sur papier.</p>""",
    start="2026-01-07",
)
