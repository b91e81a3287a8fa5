(** rules.md, separable_counts: at each position the worst query of a block, and of a class of wrong tokens the one that
    gains most there. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Real.Sums Real.Separation Integer.Dyadic Integer.Matrix Integer.Tables Real.ScaledExp.
From Compact Require Import Integer.Numerators Integer.QueryWeights Integer.Gains Integer.WorstTables Facts.
From Compact Require Import Count.Counting Count.Packed Count.Reaching Count.Parts Count.Pairs.
Import ListNotations.
Open Scope Z_scope.

(** Queries that are counted together; classes that the group does not share; parts. A class is a set of wrong tokens,
    then a factor for each of them or nothing. Sets are bit masks. *)
Record block := Block { block_queries : Z; own_classes : list (list Z); parts : list part }.

(** Each position but the last is in one pool. *)
Record group := Group { maximum : Z; pools_of : list Z; shared_classes : list (list Z); blocks : list block }.

(** ** Tables, and the cells that they speak of: a table and a token *)

Fixpoint look (t : nat) (tokens : list nat) (numbers : list Z) : Z :=
  match tokens, numbers with
  | a :: tokens', x :: numbers' => if Nat.eqb a t then x else look t tokens' numbers'
  | _, _ => 0
  end.

Section Cells.
Variables (m pools : nat) (those : list nat).

(** A query other than [m] has a name that no token has. *)
Definition name_of_query (q : nat) : nat := if Nat.eqb q m then m else (S m + q)%nat.

(** Tokens up to m in each pool, the queries of the block in the last table. *)
Definition tokens_in (i : nat) : list nat := if Nat.eqb i pools then those else seq 0 (S m).
Definition cells (i : nat) : list (nat * nat) := map (pair i) (tokens_in i).
Definition name_of (a : nat * nat) : nat := if Nat.eqb (fst a) pools then name_of_query (snd a) else snd a.
Definition number_in (numbers : list (list Z)) (a : nat * nat) : Z := look (snd a) (tokens_in (fst a)) (nth (fst a) numbers []).

Definition labelled (numbers : list (list Z)) : list table :=
  map (fun i => combine (map (fun t => name_of (i, t)) (tokens_in i)) (nth i numbers [])) (seq 0 (S pools)).

Lemma combine_look : forall (f : nat -> nat) tokens numbers, NoDup tokens -> length numbers = length tokens ->
  combine (map f tokens) numbers = map (fun t => (f t, look t tokens numbers)) tokens.
Proof.
  intros f. induction tokens as [|a tokens IH]; intros [|x numbers] U L; try discriminate; [reflexivity|].
  inversion U as [|? ? fresh U']; subst. cbn [map combine look]. rewrite Nat.eqb_refl. f_equal.
  rewrite IH by (assumption || (simpl in L; lia)). apply map_ext_in. intros t I.
  destruct (Nat.eqb a t) eqn:E; [apply Nat.eqb_eq in E; subst; contradiction | reflexivity].
Qed.

Lemma labelled_right : forall numbers i, (i <= pools)%nat -> NoDup (tokens_in i) -> length (nth i numbers []) = length (tokens_in i) ->
  (i < length (labelled numbers))%nat /\
  nth i (labelled numbers) [] = map (fun a => (name_of a, number_in numbers a)) (cells i).
Proof.
  intros numbers i small U L. unfold labelled. split; [rewrite map_length, seq_length; lia|].
  transitivity (combine (map (fun t => name_of (i, t)) (tokens_in i)) (nth i numbers [])).
  - pose proof (nth_map _ _ (fun i => combine (map (fun t => name_of (i, t)) (tokens_in i)) (nth i numbers [])) (seq 0 (S pools)) i 0%nat []) as E.
    rewrite seq_nth in E by lia. apply E. rewrite seq_length. lia.
  - rewrite combine_look by assumption. unfold cells. rewrite map_map. reflexivity.
Qed.

Lemma look_seq : forall n a t numbers, (t < n)%nat -> length numbers = n -> look (a + t) (seq a n) numbers = nth t numbers 0.
Proof.
  induction n as [|n IH]; intros a t [|x numbers] T L; try discriminate; [lia|]. cbn [seq look].
  destruct t as [|t]; [now rewrite Nat.add_0_r, Nat.eqb_refl|].
  replace (Nat.eqb a (a + S t)) with false by (symmetry; apply Nat.eqb_neq; lia).
  replace (a + S t)%nat with (S a + t)%nat by lia. cbn [nth]. apply IH; [lia | simpl in L; lia].
Qed.

Lemma look_map : forall (B : Type) (key : B -> nat) (f : B -> Z) l x, NoDup (map key l) -> In x l -> look (key x) (map key l) (map f l) = f x.
Proof.
  intros B key f. induction l as [|y l IH]; intros x U I; [destruct I|]. inversion U as [|? ? fresh U']; subst. cbn [map look].
  destruct I as [->|I]; [now rewrite Nat.eqb_refl|].
  destruct (Nat.eqb (key y) (key x)) eqn:E; [|now apply IH].
  apply Nat.eqb_eq in E. exfalso. apply fresh. rewrite E. now apply in_map.
Qed.
End Cells.

(** ** The program *)

Fixpoint collect {A B : Type} (f : A -> outcome B) (l : list A) : outcome (list B) :=
  match l with
  | [] => Fine []
  | x :: rest =>
      match f x with
      | Refused why => Refused why
      | Fine y => match collect f rest with Refused why => Refused why | Fine more => Fine (y :: more) end
      end
  end.

Definition wrong_tokens (v m : nat) : Z := Z.ones (Z.of_nat v) - Z.shiftl 1 (Z.of_nat m).

(** Of the queries that are asked, weights, and gains of a class. *)
Fixpoint found (q : nat) (gains : list (nat * (Z * Z))) : Z * Z :=
  match gains with [] => (0, 0) | (a, x) :: rest => if Nat.eqb a q then x else found q rest end.

Definition asked_with (asked : list (nat * pool_weights)) (gains : class_gains) : list (pool_weights * (Z * Z)) :=
  map (fun one : nat * pool_weights => (snd one, found (fst one) (of_queries gains))) asked.

Section Group.
Variables (N : numerators) (limit : Z) (v k m pools : nat) (pool_of : list nat).

Definition count_block (uses : list nat) (runs : list (nat * positive)) (weights : list (nat * pool_weights))
  (shared : list (list Z * class_gains)) (b : block) : outcome entry_of_tally :=
  let asked := filter (fun one => Z.testbit (block_queries b) (Z.of_nat (fst one))) weights in
  let those := map fst asked in
  require (negb (Nat.eqb (length those) 0)) no_such_region
  (let own := map (fun one => (one, gains_of N v m pool_of pools those one)) (own_classes b) in
   let kinds := map (fun one : list Z * class_gains =>
     (fst one, labelled m pools those (worst pools (of_token (snd one)) (asked_with asked (snd one))))) (shared ++ own) in
   let least := fun y => match asked with
     | [(q, ws)] => labelled m pools those (least_table N m (Z.to_nat y) q pool_of pools ws)
     | _ => []
     end in
   let may_be_below := fun y => Nat.eqb (length asked) 1 && (0 <=? y) && (y <? Z.of_nat v) && negb (y =? Z.of_nat m) in
   let all := ways_with (fun a => Nat.eqb (name_of m pools a) m) (map (cells m pools those) uses) in
   match count_parts limit kinds least may_be_below uses runs m (wrong_tokens v m) [] (parts b) with
   | Refused why => Refused why
   | Fine (lost, missed) => Fine (Entry (Z.of_nat m) (block_queries b) (Z.ones (Z.of_nat k)) (Z.max 0 (all - lost)) missed)
   end).

Definition class_fits (one : list Z) : bool :=
  let tokens := hd 0 one in
  (0 <? tokens) && (Z.land tokens (wrong_tokens v m) =? tokens) && factors_fit v one.

Definition distinct (l : list Z) : bool :=
  (fix go l := match l with [] => true | x :: rest => negb (existsb (Z.eqb x) rest) && go rest end) l.

Definition parts_fit (some : list part) : bool :=
  let tokens := map its_token some in
  (last tokens 0 =? -1) && forallb (fun t => (0 <=? t) && (t <? Z.of_nat m)) (removelast tokens) && distinct (removelast tokens).

Definition phases_fit (some : list part) : bool :=
  forallb (fun p => forallb (fun c => Nat.eqb (length (phases c)) (S pools)) (above p ++ below p)) some.

Definition block_fits (shared : list (list Z)) (b : block) : outcome unit :=
  require ((0 <? block_queries b) && (block_queries b <? Z.shiftl 2 (Z.of_nat m))) no_such_region
  (require (forallb class_fits (shared ++ own_classes b)) no_such_class
  (require (parts_fit (parts b)) not_a_partition
  (require (phases_fit (parts b)) no_such_class (Fine tt)))).
End Group.

Fixpoint first_with (p : nat) (pools : list Z) : nat :=
  match pools with [] => 0%nat | pool :: rest => if Z.testbit pool (Z.of_nat p) then 0%nat else S (first_with p rest) end.

Definition pools_fit (k : nat) (pools : list Z) : bool :=
  forallb (fun pool => (0 <? pool) && (pool <? Z.shiftl 1 (Z.of_nat (k - 1)))) pools
  && forallb (fun p => Nat.eqb (length (filter (fun pool => Z.testbit pool (Z.of_nat p)) pools)) 1) (seq 0 (k - 1)).

Definition count_group (N : numerators) (A : query_weights) (limit : Z) (v k : nat) (bits : Z) (g : group) : outcome (list entry_of_tally) :=
  require ((0 <=? maximum g) && (maximum g <? Z.of_nat v)) no_such_region
  (require (pools_fit k (pools_of g)) not_a_partition
  (require (negb (Nat.eqb (length (blocks g)) 0)) no_such_region
  (let m := Z.to_nat (maximum g) in
   let pools := length (pools_of g) in
   match collect (block_fits v m pools (shared_classes g)) (blocks g) with
   | Refused why => Refused why
   | Fine _ =>
       let pool_of := map (fun p => first_with p (pools_of g)) (seq 0 (k - 1)) in
       require (forallb (fun i => Nat.ltb i pools) pool_of) not_a_partition
       (let uses := pool_of ++ [pools] in
        let runs := runs_of uses in
        let queries := filter (fun q => existsb (fun b => Z.testbit (block_queries b) (Z.of_nat q)) (blocks g)) (seq 0 (S m)) in
        let weights := map (fun q => (q, pool_weights_of bits A m pool_of pools q)) queries in
        let shared := map (fun one => (one, gains_of N v m pool_of pools queries one)) (shared_classes g) in
        collect (count_block N limit v k m pools pool_of uses runs weights shared) (blocks g))
   end))).

Definition separable_counts (w : weights) (margin : fraction) (budget e bits : Z) (kept : matrix) (error : list Z)
  (groups : list group) : outcome fact :=
  require (0 <=? bits) out_of_range
  (let (v, k) := (vocabulary w, positions w) in
   let N := numerators_of w margin e bits in
   let A := query_weights_of w kept error bits in
   match collect (count_group N A (64 * budget) v k bits) groups with
   | Refused why => Refused why
   | Fine entries => Fine (Tally (concat entries))
   end).

(** ** Soundness *)

Lemma collect_sound : forall (A B : Type) (f : A -> outcome B) l ys, collect f l = Fine ys ->
  forall y, In y ys -> exists x, In x l /\ f x = Fine y.
Proof.
  intros A B f. induction l as [|x l IH]; intros ys E y I; cbn [collect] in E.
  - apply fine_eq in E. subst ys. destruct I.
  - destruct (f x) as [y'|] eqn:F; [|discriminate]. destruct (collect f l) as [more|] eqn:C; [|discriminate].
    apply fine_eq in E. subst ys. destruct I as [<-|I]; [exists x; split; [now left | exact F]|].
    destruct (IH more eq_refl y I) as (x' & J & F'). exists x'. split; [now right | exact F'].
Qed.

Lemma collect_all : forall (A B : Type) (f : A -> outcome B) l ys, collect f l = Fine ys ->
  forall x, In x l -> exists y, f x = Fine y.
Proof.
  intros A B f. induction l as [|x l IH]; intros ys E x' I; [destruct I|]. cbn [collect] in E.
  destruct (f x) as [y|] eqn:F; [|discriminate]. destruct (collect f l) as [more|] eqn:C; [|discriminate].
  destruct I as [<-|I]; [now exists y | now apply (IH more)].
Qed.

Lemma found_in : forall gains q, In q (map fst gains) -> In (q, found q gains) gains.
Proof.
  induction gains as [|[a x] gains IH]; intros q I; [destruct I|]. cbn [found]. destruct (Nat.eqb a q) eqn:E.
  - apply Nat.eqb_eq in E. subst a. now left.
  - right. apply IH. destruct I as [E'|I]; [apply Nat.eqb_neq in E; contradiction | exact I].
Qed.

Lemma wrong_tokens_spec : forall v m y, (m < v)%nat -> (y < v)%nat -> y <> m -> Z.testbit (wrong_tokens v m) (Z.of_nat y) = true.
Proof.
  intros v m y Hm Hy other. unfold wrong_tokens. rewrite Z.shiftl_1_l.
  assert (E : Z.ones (Z.of_nat v) - 2 ^ Z.of_nat m = Z.ldiff (Z.ones (Z.of_nat v)) (2 ^ Z.of_nat m)).
  { apply Z.sub_nocarry_ldiff. apply Z.bits_inj'. intros n Hn. rewrite Z.ldiff_spec, Z.bits_0.
    rewrite Z.pow2_bits_eqb by lia. destruct (Z.of_nat m =? n) eqn:En; [|reflexivity].
    apply Z.eqb_eq in En. subst n. rewrite Z.ones_spec_low by lia. reflexivity. }
  rewrite E, Z.ldiff_spec, Z.ones_spec_low, Z.pow2_bits_eqb by lia.
  replace (Z.of_nat m =? Z.of_nat y) with false; [reflexivity|]. symmetry. apply Z.eqb_neq. lia.
Qed.

Section Block.
Variables (w : weights) (margin : fraction) (e bits : Z) (kept : matrix) (error : list Z).
Hypothesis good : well_formed w = true.
Hypothesis fraction_ok : 0 < snd margin.
Hypothesis natural : 0 <= bits.
Notation M := (model_of w).
Notation v := (d_vocab M).
Notation k := (n_ctx M).
Notation N := (numerators_of w margin e bits).
Notation mu := (value_of margin).
Hypothesis close : holds M mu (Score_approximation kept error).
Notation A := (query_weights_of w kept error bits).
Variables (m pools : nat) (pool_of : list nat).
Hypothesis m_small : (m < v)%nat.
Hypothesis places : length pool_of = (k - 1)%nat.
Hypothesis in_a_pool : Forall (fun i => (i < pools)%nat) pool_of.

Variable asked : list (nat * pool_weights).
Hypothesis asked_right : forall q ws, In (q, ws) asked -> (q <= m)%nat /\ ws = pool_weights_of bits A m pool_of pools q.
Hypothesis some_asked : asked <> [].
Notation those := (map fst asked).
Hypothesis asked_once : NoDup those.
Notation uses := (pool_of ++ [pools]).
Notation rows := (map (cells m pools those) uses).
Notation name := (name_of m pools).

Lemma k_pos' : (0 < k)%nat.
Proof. destruct (sizes w good) as (_ & _ & _ & K). exact K. Qed.

Lemma tokens_once : forall i, NoDup (tokens_in m pools those i).
Proof. intros i. unfold tokens_in. destruct (Nat.eqb i pools); [exact asked_once | apply seq_NoDup]. Qed.

Lemma cells_table : forall i a, In a (cells m pools those i) -> fst a = i.
Proof. intros i a I. unfold cells in I. apply in_map_iff in I. now destruct I as (t & <- & _). Qed.

(** *** The sequence of a choice *)

Lemma choice_at : forall cs, In cs (product rows) -> length cs = k /\
  (forall p, (p < length pool_of)%nat -> exists t, (t <= m)%nat /\ nth p cs (0, 0)%nat = (nth p pool_of 0%nat, t)) /\
  exists q ws, In (q, ws) asked /\ nth (length pool_of) cs (0, 0)%nat = (pools, q).
Proof.
  intros cs I. apply in_product in I. pose proof k_pos' as K.
  assert (L : length cs = length uses).
  { rewrite <- (map_length (cells m pools those)). clear - I. induction I; [reflexivity | cbn [length]; now f_equal]. }
  rewrite app_length, places in L. cbn [length] in L. split; [lia|].
  assert (at_p : forall p, (p < k)%nat -> In (nth p cs (0, 0)%nat) (cells m pools those (nth p uses 0%nat))).
  { intros p P. pose proof (Forall2_nth _ _ _ _ _ (0, 0)%nat [] p I) as H. rewrite map_length, app_length, places in H.
    cbn [length] in H. specialize (H ltac:(lia)).
    rewrite (nth_map _ _ _ uses p 0%nat []) in H by (rewrite app_length, places; cbn [length]; lia). exact H. }
  split.
  - intros p P. specialize (at_p p ltac:(lia)). rewrite app_nth1 in at_p by exact P. unfold cells in at_p.
    apply in_map_iff in at_p. destruct at_p as (t & E & T). exists t. split; [|now symmetry].
    unfold tokens_in in T. rewrite Forall_forall in in_a_pool. pose proof (in_a_pool (nth p pool_of 0%nat) (nth_In _ _ P)).
    replace (Nat.eqb (nth p pool_of 0%nat) pools) with false in T by (symmetry; apply Nat.eqb_neq; lia).
    apply in_seq in T. lia.
  - specialize (at_p (length pool_of) ltac:(lia)). rewrite app_nth2, Nat.sub_diag in at_p by lia. cbn [nth] in at_p.
    unfold cells in at_p. apply in_map_iff in at_p. destruct at_p as (q & E & T). unfold tokens_in in T.
    rewrite Nat.eqb_refl in T. apply in_map_iff in T. destruct T as ([q' ws] & E' & T). cbn [fst] in E'. subst q'.
    exists q, ws. split; [exact T | now symmetry].
Qed.

Lemma choice_tokens : forall cs, In cs (product rows) -> Forall (fun t => (t <= m)%nat) (map snd cs).
Proof.
  intros cs I. destruct (choice_at cs I) as (L & before & q & ws & Q & at_q). pose proof k_pos' as K.
  apply Forall_forall. intros t J. apply in_map_iff in J. destruct J as (a & <- & J). apply (In_nth _ _ (0, 0)%nat) in J.
  destruct J as (p & P & <-). destruct (Nat.eq_dec p (length pool_of)) as [->|other].
  - rewrite at_q. apply asked_right in Q. apply Q.
  - destruct (before p ltac:(lia)) as (t & T & E). rewrite E. exact T.
Qed.

Lemma choice_sequence : forall cs, In cs (product rows) -> has name m cs = true ->
  let t := map snd cs in is_sequence M t /\ label t = m /\ exists q ws, In (q, ws) asked /\ query M t = q.
Proof.
  intros cs I H t. destruct (choice_at cs I) as (L & before & q & ws & Q & at_q). pose proof (choice_tokens cs I) as small.
  pose proof k_pos' as K. repeat split.
  - unfold t. now rewrite map_length.
  - revert small. apply Forall_impl. intros x X. lia.
  - apply list_max_in; [|exact small]. unfold has in H. apply existsb_exists in H. destruct H as ([i x] & J & E).
    apply Nat.eqb_eq in E. unfold name_of in E. cbn [fst snd] in E. unfold t. apply in_map_iff. exists (i, x). split; [|exact J]. cbn [snd].
    destruct (Nat.eqb i pools); [|exact E]. unfold name_of_query in E. destruct (Nat.eqb x m) eqn:X; [now apply Nat.eqb_eq | lia].
  - exists q, ws. split; [exact Q|]. unfold query, t. rewrite <- places.
    rewrite (nth_map _ _ snd cs (length pool_of) (0, 0)%nat 0%nat) by lia. now rewrite at_q.
Qed.

(** *** A sum below 0 keeps a class behind *)

Lemma asked_weights : forall q ws, In (q, ws) asked -> exists unit, right_weights w m pool_of ws q unit.
Proof.
  intros q ws I. destruct (asked_right q ws I) as [Q ->].
  exact (weights_right w margin bits kept error good natural close m pools pool_of m_small places in_a_pool q Q).
Qed.

Section Class.
Variables (one : list Z) (queries : list nat).
Hypothesis fits : factors_fit v one = true.
Hypothesis queries_small : Forall (fun q => (q <= m)%nat) queries.
Hypothesis queries_all : incl those queries.
Notation G := (gains_of N v m pool_of pools queries one).
Notation with_gains := (asked_with asked G).
Notation numbers := (worst pools (of_token G) with_gains).

Lemma its_gains : forall q ws, In (q, ws) asked -> In (q, found q (of_queries G)) (of_queries G).
Proof.
  intros q ws I. apply found_in. unfold gains_of. cbn [of_queries]. rewrite map_map. cbn [fst]. rewrite map_id.
  apply queries_all. now apply (in_map fst asked (q, ws)).
Qed.

Lemma all_right : forall ws more, In (ws, more) with_gains -> exists q unit, right_weights w m pool_of ws q unit.
Proof.
  intros ws more I. unfold asked_with in I. apply in_map_iff in I. destruct I as ([q ws'] & E & I). cbn [fst snd] in E.
  assert (ws' = ws) by exact (f_equal fst E). subst ws'. destruct (asked_weights q ws I) as (unit & R). now exists q, unit.
Qed.

Lemma with_gains_in : forall q ws, In (q, ws) asked -> In (ws, found q (of_queries G)) with_gains.
Proof. intros q ws I. exact (in_map (fun one : nat * pool_weights => (snd one, found (fst one) (of_queries G))) asked (q, ws) I). Qed.

Lemma class_tables : forall y, (y < v)%nat ->
  right_tables (cells m pools those) name uses (number_in m pools those numbers) (labelled m pools those numbers).
Proof.
  intros y Y i U. apply in_app_iff in U. destruct U as [U|[<-|[]]].
  - apply (In_nth _ _ 0%nat) in U. destruct U as (p & P & <-).
    pose proof in_a_pool as all. rewrite Forall_forall in all. pose proof (all (nth p pool_of 0%nat) (nth_In _ _ P)) as S.
    apply labelled_right; [lia | apply tokens_once|].
    unfold tokens_in. replace (Nat.eqb (nth p pool_of 0%nat) pools) with false by (symmetry; apply Nat.eqb_neq; lia). rewrite seq_length.
    destruct asked as [|[q ws] rest] eqn:As; [contradiction|]. rewrite <- As in *.
    assert (I : In (q, ws) asked) by (rewrite As; now left). destruct (asked_weights q ws I) as (unit & R).
    pose proof (with_gains_in q ws I) as J. destruct (found q (of_queries G)) as [own at_own] eqn:F.
    exact (worst_row_length w margin e bits m pools pool_of m_small places in_a_pool one queries y Y with_gains ws q own at_own unit
      J R all_right p P).
  - apply labelled_right; [lia | apply tokens_once|]. unfold tokens_in. rewrite Nat.eqb_refl. unfold worst.
    rewrite app_nth2 by (rewrite map_length, seq_length; lia). rewrite map_length, seq_length, Nat.sub_diag. cbn [nth].
    unfold asked_with. now rewrite !map_length.
Qed.

Lemma class_behind : forall y cs, (y < v)%nat -> Z.testbit (hd 0 one) (Z.of_nat y) = true -> In cs (product rows) ->
  number_of (number_in m pools those numbers) cs < 0 -> (numerator M mu m y (map snd cs) < 0)%R.
Proof.
  intros y cs Y bit I less. destruct (choice_at cs I) as (L & before & q & ws & Q & at_q). pose proof k_pos' as K.
  destruct (asked_weights q ws Q) as (unit & R). pose proof R as (unit_pos & _).
  pose proof (its_gains q ws Q) as Gq. pose proof (with_gains_in q ws Q) as J.
  destruct (found q (of_queries G)) as [own at_own] eqn:F.
  set (c := factor_of v one y).
  assert (C : 0 < c) by exact (factor_pos w m pool_of m_small places one fits y Y bit). apply IZR_lt in C.
  assert (main : (IZR c * numerator M mu m y (map snd cs) * unit <= IZR (number_of (number_in m pools those numbers) cs) * pow2 e)%R).
  { unfold number_of. rewrite (add_up_sum _ (0, 0)%nat), L. unfold numerator.
    assert (Eq : nth (k - 1) (map snd cs) 0%nat = q).
    { rewrite (nth_map _ _ snd cs (k - 1) (0, 0)%nat 0%nat) by lia. rewrite <- places, at_q. reflexivity. }
    rewrite Eq, <- sum_scale, <- !sum_scale_r. apply sum_le. intros p P.
    destruct (Nat.eq_dec p (length pool_of)) as [->|other].
    - rewrite at_q. rewrite (nth_map _ _ snd cs (length pool_of) (0, 0)%nat 0%nat) by lia. rewrite at_q. cbn [snd].
      assert (E : number_in m pools those numbers (pools, q) = reached (at_own + own) (at_query ws)).
      { set (f := fun one : nat * pool_weights =>
          reached (snd (found (fst one) (of_queries G)) + fst (found (fst one) (of_queries G))) (at_query (snd one))).
        assert (El : nth pools numbers [] = map f asked).
        { unfold worst. rewrite app_nth2 by (rewrite map_length, seq_length; lia). rewrite map_length, seq_length, Nat.sub_diag. cbn [nth].
          unfold asked_with. rewrite map_map. reflexivity. }
        unfold number_in. cbn [fst snd]. unfold tokens_in. rewrite Nat.eqb_refl, El.
        pose proof (look_map _ fst f asked (q, ws) asked_once Q) as X. cbn [fst] in X. rewrite X. unfold f. cbn [fst snd]. now rewrite F. }
      rewrite E. exact (worst_at_query w margin e bits good fraction_ok m pools pool_of m_small places one queries fits queries_small y Y bit
        ws q own at_own unit Gq R).
    - destruct (before p ltac:(lia)) as (t & T & Ep). rewrite Ep. rewrite (nth_map _ _ snd cs p (0, 0)%nat 0%nat) by lia. rewrite Ep. cbn [snd].
      assert (P' : (p < length pool_of)%nat) by lia.
      pose proof in_a_pool as all. rewrite Forall_forall in all. pose proof (all (nth p pool_of 0%nat) (nth_In _ _ P')) as S.
      assert (E : number_in m pools those numbers (nth p pool_of 0%nat, t) = nth t (nth (nth p pool_of 0%nat) numbers []) 0).
      { unfold number_in. cbn [fst snd]. unfold tokens_in.
        replace (Nat.eqb (nth p pool_of 0%nat) pools) with false by (symmetry; apply Nat.eqb_neq; lia).
        apply (look_seq (Datatypes.S m) 0 t); [lia|].
        exact (worst_row_length w margin e bits m pools pool_of m_small places in_a_pool one queries y Y with_gains ws q own at_own unit
          J R all_right p P'). }
      rewrite E. exact (worst_before w margin e bits good fraction_ok m pools pool_of m_small places in_a_pool one queries fits queries_small
        y Y bit with_gains ws q own at_own unit J Gq R all_right p t P' T). }
  apply IZR_lt in less. pose proof (pow2_pos e) as pe.
  assert (0 < IZR c * unit)%R by now apply Rmult_lt_0_compat.
  apply Rmult_lt_reg_r with (IZR c * unit)%R; [assumption|]. rewrite Rmult_0_l. nra.
Qed.
End Class.

(** *** A sum that is not below 0 keeps a wrong token level, or ahead *)

Lemma least_tables : forall y q ws, asked = [(q, ws)] -> (y < v)%nat ->
  right_tables (cells m pools those) name uses (number_in m pools those (least_table N m y q pool_of pools ws))
    (labelled m pools those (least_table N m y q pool_of pools ws)).
Proof.
  intros y q ws As Y i U. assert (I : In (q, ws) asked) by (rewrite As; now left).
  destruct (asked_right q ws I) as [Q _]. destruct (asked_weights q ws I) as (unit & R).
  apply in_app_iff in U. destruct U as [U|[<-|[]]].
  - apply (In_nth _ _ 0%nat) in U. destruct U as (p & P & <-).
    pose proof in_a_pool as all. rewrite Forall_forall in all. pose proof (all (nth p pool_of 0%nat) (nth_In _ _ P)) as S.
    apply labelled_right; [lia | apply tokens_once|].
    unfold tokens_in. replace (Nat.eqb (nth p pool_of 0%nat) pools) with false by (symmetry; apply Nat.eqb_neq; lia). rewrite seq_length.
    exact (least_row_length w margin e bits m pools pool_of m_small places in_a_pool y q ws unit Y Q R p P).
  - apply labelled_right; [lia | apply tokens_once|]. unfold tokens_in. rewrite Nat.eqb_refl, As. unfold least_table.
    rewrite app_nth2 by (rewrite map_length, seq_length; lia). rewrite map_length, seq_length, Nat.sub_diag. reflexivity.
Qed.

Lemma least_level : forall y q ws cs, asked = [(q, ws)] -> (y < v)%nat -> In cs (product rows) ->
  0 <= number_of (number_in m pools those (least_table N m y q pool_of pools ws)) cs -> (0 <= numerator M mu m y (map snd cs))%R.
Proof.
  intros y q ws cs As Y I reaches. destruct (choice_at cs I) as (L & before & q' & ws' & Q & at_q). pose proof k_pos' as K.
  pose proof Q as Q'. rewrite As in Q'. destruct Q' as [Eq'|[]]. assert (q' = q) by exact (eq_sym (f_equal fst Eq')).
  assert (ws' = ws) by exact (eq_sym (f_equal snd Eq')). subst q' ws'.
  destruct (asked_right q ws Q) as [small _]. destruct (asked_weights q ws Q) as (unit & R). pose proof R as (unit_pos & _).
  assert (main : (IZR (number_of (number_in m pools those (least_table N m y q pool_of pools ws)) cs) * pow2 e <= numerator M mu m y (map snd cs) * unit)%R).
  { unfold number_of. rewrite (add_up_sum _ (0, 0)%nat), L. unfold numerator.
    assert (Eq : nth (k - 1) (map snd cs) 0%nat = q).
    { rewrite (nth_map _ _ snd cs (k - 1) (0, 0)%nat 0%nat) by lia. rewrite <- places, at_q. reflexivity. }
    rewrite Eq, <- !sum_scale_r. apply sum_le. intros p P.
    destruct (Nat.eq_dec p (length pool_of)) as [->|other].
    - rewrite at_q. rewrite (nth_map _ _ snd cs (length pool_of) (0, 0)%nat 0%nat) by lia. rewrite at_q. cbn [snd].
      assert (E : number_in m pools those (least_table N m y q pool_of pools ws) (pools, q) = nth 0 (nth pools (least_table N m y q pool_of pools ws) []) 0).
      { unfold number_in. cbn [fst snd]. unfold tokens_in. rewrite Nat.eqb_refl, As. cbn [map fst]. unfold least_table.
        rewrite app_nth2 by (rewrite map_length, seq_length; lia). rewrite map_length, seq_length, Nat.sub_diag. cbn [nth look].
        now rewrite Nat.eqb_refl. }
      rewrite E. exact (least_at_query w margin e bits good fraction_ok m pools pool_of m_small places y q ws unit Y small R).
    - destruct (before p ltac:(lia)) as (t & T & Ep). rewrite Ep. rewrite (nth_map _ _ snd cs p (0, 0)%nat 0%nat) by lia. rewrite Ep. cbn [snd].
      assert (P' : (p < length pool_of)%nat) by lia.
      pose proof in_a_pool as all. rewrite Forall_forall in all. pose proof (all (nth p pool_of 0%nat) (nth_In _ _ P')) as S.
      assert (E : number_in m pools those (least_table N m y q pool_of pools ws) (nth p pool_of 0%nat, t)
        = nth t (nth (nth p pool_of 0%nat) (least_table N m y q pool_of pools ws) []) 0).
      { unfold number_in. cbn [fst snd]. unfold tokens_in.
        replace (Nat.eqb (nth p pool_of 0%nat) pools) with false by (symmetry; apply Nat.eqb_neq; lia).
        apply (look_seq (Datatypes.S m) 0 t); [lia|].
        exact (least_row_length w margin e bits m pools pool_of m_small places in_a_pool y q ws unit Y small R p P'). }
      rewrite E. exact (least_before w margin e bits good fraction_ok m pools pool_of m_small places in_a_pool y q ws unit Y small R p t P' T). }
  apply IZR_le in reaches. pose proof (pow2_pos e) as pe. apply Rmult_le_reg_r with unit; [assumption|]. rewrite Rmult_0_l. nra.
Qed.
(** *** The counts of a block *)

Lemma at_least_choices : forall (P : list (nat * nat) -> bool) (Q : list nat -> Prop) n,
  (forall cs, In cs (product rows) -> P cs = true -> Q (map snd cs)) -> n <= count P rows -> at_least n Q.
Proof.
  intros P Q n implies many. exists (map (map snd) (filter P (product rows))). repeat split.
  - apply NoDup_map_filter. rewrite product_map. apply product_NoDup. rewrite Forall_map. apply Forall_forall.
    intros r I. apply in_map_iff in I. destruct I as (i & <- & _). unfold cells. rewrite map_map. cbn [snd]. rewrite map_id. apply tokens_once.
  - rewrite Forall_map. apply Forall_forall. intros cs I. apply filter_In in I. now apply implies.
  - rewrite map_length. now rewrite <- count_filter.
Qed.

Variable b : block.
Hypothesis asked_in_block : forall q ws, In (q, ws) asked -> Z.testbit (block_queries b) (Z.of_nat q) = true.
Variable all_kinds : list (list Z * class_gains).
Hypothesis kinds_fit : Forall (fun one => factors_fit v (fst one) = true /\
  exists queries, Forall (fun q => (q <= m)%nat) queries /\ incl those queries /\
    snd one = gains_of N v m pool_of pools queries (fst one)) all_kinds.

Notation numbers_of one := (worst pools (of_token (snd one)) (asked_with asked (snd one))).
Notation kinds := (map (fun one : list Z * class_gains => (fst one, labelled m pools those (numbers_of one))) all_kinds).
Notation least := (fun y => match asked with
  | [(q, ws)] => labelled m pools those (least_table N m (Z.to_nat y) q pool_of pools ws)
  | _ => []
  end).
Notation may_be_below := (fun y => Nat.eqb (length asked) 1 && (0 <=? y) && (y <? Z.of_nat v) && negb (y =? Z.of_nat m)).

Definition no_class : list Z * class_gains := ([], Class_gains [] []).
Definition class_number (j : nat) : nat * nat -> Z := number_in m pools those (numbers_of (nth j all_kinds no_class)).
Definition least_number (y : Z) : nat * nat -> Z :=
  match asked with
  | [(q, ws)] => number_in m pools those (least_table N m (Z.to_nat y) q pool_of pools ws)
  | _ => fun _ => 0
  end.

Lemma kind_at : forall j, (j < length kinds)%nat ->
  nth j kinds ([], []) = (fst (nth j all_kinds no_class), labelled m pools those (numbers_of (nth j all_kinds no_class))) /\
  factors_fit v (fst (nth j all_kinds no_class)) = true /\
  exists queries, Forall (fun q => (q <= m)%nat) queries /\ incl those queries /\
    snd (nth j all_kinds no_class) = gains_of N v m pool_of pools queries (fst (nth j all_kinds no_class)).
Proof.
  intros j J. rewrite map_length in J. split; [|pose proof kinds_fit as F; rewrite Forall_forall in F; now apply F, nth_In].
  exact (nth_map _ _ (fun one : list Z * class_gains => (fst one, labelled m pools those (numbers_of one))) all_kinds j no_class ([], []) J).
Qed.

Lemma kinds_right : forall j, (j < length kinds)%nat ->
  right_tables (cells m pools those) name uses (class_number j) (snd (nth j kinds ([], []))).
Proof.
  intros j J. destruct (kind_at j J) as (E & fits & queries & small & all & G). rewrite E. cbn [snd]. unfold class_number. rewrite G.
  apply class_tables with (y := m); assumption.
Qed.

Lemma below_spec : forall y, may_be_below y = true ->
  exists q ws, asked = [(q, ws)] /\ (Z.to_nat y < v)%nat /\ Z.to_nat y <> m.
Proof.
  intros y T. cbv beta in T. rewrite !andb_true_iff, negb_true_iff, Nat.eqb_eq, Z.leb_le, Z.ltb_lt, Z.eqb_neq in T.
  destruct T as [[[L low] high] other]. destruct asked as [|[q ws] [|]]; try discriminate. exists q, ws. repeat split; lia.
Qed.

Lemma least_right : forall y, may_be_below y = true -> right_tables (cells m pools those) name uses (least_number y) (least y).
Proof.
  intros y T. destruct (below_spec y T) as (q & ws & As & Y & _). pose proof (least_tables (Z.to_nat y) q ws As Y) as R.
  assert (one_of : forall (B : Type) (f : nat -> pool_weights -> B) none l, l = [(q, ws)] ->
    match l with [(q, ws)] => f q ws | _ => none end = f q ws) by (intros B f none l ->; reflexivity).
  unfold least_number. cbv beta.
  rewrite (one_of _ (fun q ws => labelled m pools those (least_table N m (Z.to_nat y) q pool_of pools ws)) [] asked As).
  rewrite (one_of _ (fun q ws => number_in m pools those (least_table N m (Z.to_nat y) q pool_of pools ws)) (fun _ => 0) asked As).
  exact R.
Qed.

Variables (limit all lost missed : Z).
Hypothesis counts : count_parts limit kinds least may_be_below uses (runs_of uses) m (wrong_tokens v m) [] (parts b) = Fine (lost, missed).

Definition entry_of_block : entry_of_tally :=
  Entry (Z.of_nat m) (block_queries b) (Z.ones (Z.of_nat k))
    (Z.max 0 (ways_with (fun a => Nat.eqb (name a) m) rows - lost)) missed.

Lemma in_its_region : forall cs, In cs (product rows) -> has name m cs = true -> in_region M entry_of_block (map snd cs).
Proof.
  intros cs I H. destruct (choice_sequence cs I H) as (_ & lab & q & ws & Q & que). unfold in_region, entry_of_block. cbn [of_label queries ns].
  rewrite lab, que. split; [reflexivity|]. split; [now apply (asked_in_block q ws)|].
  pose proof k_pos' as K. apply Z.ones_spec_low. unfold others.
  assert (forall l, (length (filter (fun token => negb (Nat.eqb token (label (map snd cs)))) l) <= length l)%nat).
  { induction l as [|x l IH]; cbn [filter length]; [lia|]. destruct (negb _); cbn [length]; lia. }
  pose proof (H0 (firstn (k - 1) (map snd cs))). pose proof (firstn_le_length (k - 1) (map snd cs)). lia.
Qed.

Theorem block_true : entry_true M mu entry_of_block.
Proof.
  pose proof k_pos' as K. split.
  - apply (at_least_choices (fun cs => (lacks name [] cs && has name m cs) && settled name class_number (parts b) cs)).
    + intros cs I T. rewrite !andb_true_iff in T. destruct T as [[L H] S]. destruct (choice_sequence cs I H) as (is & lab & _).
      split; [|now apply in_its_region]. split; [exact is|]. rewrite lab. intros y Y other. apply separation; [exact K|].
      destruct (settled_is_behind (cells m pools those) fst name uses m (fun i a => cells_table i a) limit kinds least may_be_below
        (wrong_tokens v m) class_number kinds_right (parts b) [] lost missed counts cs y
        (wrong_tokens_spec v m y m_small Y other) I L H S) as (j & J & bit & less).
      destruct (kind_at j J) as (E & fits & queries & small & every & G). rewrite E in bit. cbn [fst] in bit.
      unfold class_number in less. rewrite G in less.
      exact (class_behind _ _ fits small every y cs Y bit I less).
    + cbn [right entry_of_block].
      pose proof (parts_lost (cells m pools those) fst name uses m (fun i a => cells_table i a) limit kinds least may_be_below
        (wrong_tokens v m) class_number kinds_right (parts b) [] lost missed counts) as B.
      rewrite ways_with_count. change (existsb (fun a => Nat.eqb (name a) m)) with (has name m).
      pose proof (count_split (has name m) (settled name class_number (parts b)) rows) as S.
      assert (E : count (fun cs => has name m cs && negb (settled name class_number (parts b) cs)) rows
        = count (fun cs => (lacks name [] cs && has name m cs) && negb (settled name class_number (parts b) cs)) rows).
      { apply count_ext. intros cs _. now rewrite lacks_none. }
      assert (E' : count (fun cs => has name m cs && settled name class_number (parts b) cs) rows
        = count (fun cs => (lacks name [] cs && has name m cs) && settled name class_number (parts b) cs) rows).
      { apply count_ext. intros cs _. now rewrite lacks_none. }
      pose proof (count_nonneg rows (fun cs => (lacks name [] cs && has name m cs) && settled name class_number (parts b) cs)). lia.
  - apply (at_least_choices (fun cs => (lacks name [] cs && has name m cs) && surely_wrong name least_number (parts b) cs)).
    + intros cs I T. rewrite !andb_true_iff in T. destruct T as [[L H] S]. destruct (choice_sequence cs I H) as (is & lab & _).
      split; [|now apply in_its_region]. split; [exact is|]. intros [_ every]. rewrite lab in every.
      destruct (surely_wrong_is_level name uses m limit kinds least may_be_below (wrong_tokens v m) least_number (parts b) [] lost missed counts cs S)
        as (y & may & reaches).
      destruct (below_spec y may) as (q & ws & As & Y & other). unfold least_number in reaches. rewrite As in reaches at 1.
      specialize (every (Z.to_nat y) Y other). apply separation in every; [|exact K].
      pose proof (least_level (Z.to_nat y) q ws cs As Y I reaches). lra.
    + exact (parts_missed (cells m pools those) fst name uses m (fun i a => cells_table i a) limit kinds least may_be_below
        (wrong_tokens v m) least_number least_right (parts b) [] lost missed counts).
Qed.
End Block.

Lemma filter_fst : forall (B : Type) (P : nat -> bool) (l : list (nat * B)), map fst (filter (fun one => P (fst one)) l) = filter P (map fst l).
Proof. intros B P. induction l as [|one l IH]; [reflexivity|]. cbn [filter map]. destruct (P (fst one)); cbn [map]; now rewrite IH. Qed.

Theorem separable_counts_sound : forall w margin budget e bits kept error groups f,
  well_formed w = true -> 0 < snd margin -> holds (model_of w) (value_of margin) (Score_approximation kept error) ->
  separable_counts w margin budget e bits kept error groups = Fine f -> holds (model_of w) (value_of margin) f.
Proof.
  intros w margin budget e bits kept error groups f good positive close E. unfold separable_counts in E.
  apply require_fine in E. destruct E as [natural E]. apply Z.leb_le in natural.
  set (v := vocabulary w) in *. set (k := positions w) in *.
  set (N := numerators_of w margin e bits) in *. set (A := query_weights_of w kept error bits) in *.
  destruct (collect (count_group N A (64 * budget) v k bits) groups) as [entries|] eqn:C; [|discriminate].
  apply fine_eq in E. subst f. cbn [holds]. apply Forall_concat. apply Forall_forall. intros counts I.
  destruct (collect_sound _ _ _ _ _ C counts I) as (g & _ & F). clear C I entries groups. unfold count_group in F.
  apply require_fine in F. destruct F as [Hm F]. apply andb_prop in Hm. destruct Hm as [low high]. apply Z.leb_le in low. apply Z.ltb_lt in high.
  apply require_fine in F. destruct F as [_ F]. apply require_fine in F. destruct F as [_ F].
  set (m := Z.to_nat (maximum g)) in *. set (pools := length (pools_of g)) in *.
  destruct (collect (block_fits v m pools (shared_classes g)) (blocks g)) as [fit|] eqn:D; [|discriminate].
  set (pool_of := map (fun p => first_with p (pools_of g)) (seq 0 (k - 1))) in *.
  apply require_fine in F. destruct F as [in_pools F]. cbv zeta in F.
  set (queries := filter (fun q => existsb (fun b => Z.testbit (block_queries b) (Z.of_nat q)) (blocks g)) (seq 0 (S m))) in *.
  set (weights := map (fun q => (q, pool_weights_of bits A m pool_of pools q)) queries) in *.
  set (shared := map (fun one => (one, gains_of N v m pool_of pools queries one)) (shared_classes g)) in *.
  assert (m_small : (m < d_vocab (model_of w))%nat) by (change (d_vocab (model_of w)) with v; unfold m; lia).
  assert (places : length pool_of = (n_ctx (model_of w) - 1)%nat) by (unfold pool_of; now rewrite map_length, seq_length).
  assert (in_a_pool : Forall (fun i => (i < pools)%nat) pool_of).
  { rewrite forallb_forall in in_pools. apply Forall_forall. intros i J. now apply Nat.ltb_lt, in_pools. }
  assert (queries_small : Forall (fun q => (q <= m)%nat) queries).
  { apply Forall_forall. intros q J. apply filter_In in J. destruct J as [J _]. apply in_seq in J. lia. }
  apply Forall_forall. intros entry J. destruct (collect_sound _ _ _ _ _ F entry J) as (b & B & G). clear F J counts.
  destruct (collect_all _ _ _ _ _ D b B) as (unit & fits). clear D fit. unfold block_fits in fits.
  apply require_fine in fits. destruct fits as [_ fits]. apply require_fine in fits. destruct fits as [classes_fit _].
  rewrite forallb_forall in classes_fit.
  assert (factors : forall one, In one (shared_classes g ++ own_classes b) -> factors_fit v one = true).
  { intros one J. specialize (classes_fit one J). unfold class_fits in classes_fit. now apply andb_prop in classes_fit. }
  unfold count_block in G. cbv zeta in G.
  set (asked := filter (fun one => Z.testbit (block_queries b) (Z.of_nat (fst one))) weights) in *.
  apply require_fine in G. destruct G as [some G].
  set (own := map (fun one => (one, gains_of N v m pool_of pools (map fst asked) one)) (own_classes b)) in *.
  destruct (count_parts _ _ _ _ _ _ _ _ _ (parts b)) as [[lost missed]|] eqn:P; [|discriminate].
  apply fine_eq in G. subst entry.
  assert (asked_right : forall q ws, In (q, ws) asked -> (q <= m)%nat /\ ws = pool_weights_of bits A m pool_of pools q).
  { intros q ws J. apply filter_In in J. destruct J as [J _]. apply in_map_iff in J. destruct J as (q' & E & J).
    assert (q' = q) by exact (f_equal fst E). subst q'. split; [|exact (eq_sym (f_equal snd E))].
    rewrite Forall_forall in queries_small. now apply queries_small. }
  assert (those_queries : map fst weights = queries).
  { unfold weights. rewrite map_map. cbn [fst]. apply map_id. }
  assert (those : map fst asked = filter (fun q => Z.testbit (block_queries b) (Z.of_nat q)) queries).
  { unfold asked. rewrite (filter_fst _ (fun q => Z.testbit (block_queries b) (Z.of_nat q))). now rewrite those_queries. }
  assert (inside : incl (map fst asked) queries) by (rewrite those; intros q J; apply filter_In in J; tauto).
  refine (block_true w margin e bits kept error good positive natural close m pools pool_of m_small places in_a_pool asked asked_right _ _ b _
    (shared ++ own) _ (64 * budget) lost missed P).
  - intros none. rewrite none in some. discriminate.
  - rewrite those. apply NoDup_filter. unfold queries. apply NoDup_filter, seq_NoDup.
  - intros q ws J. apply filter_In in J. exact (proj2 J).
  - apply Forall_app. split; apply Forall_forall; intros one J; apply in_map_iff in J; destruct J as (kind & <- & J); cbn [fst snd].
    + split; [apply factors, in_app_iff; now left|]. exists queries. auto.
    + split; [apply factors, in_app_iff; now right|]. exists (map fst asked). split; [|split; [apply incl_refl | reflexivity]].
      rewrite Forall_forall in *. intros q Q. now apply queries_small, inside.
Qed.
